"""The mock node: the sim node over a cell without physics. For tests of whoever talks to a Franka; needs no MuJoCo.

Names, types, quality of service, actions, services and faults are the sim node's, since they are its code; see
robot/loopback.py for what happens to a command.
"""

from dataclasses import dataclass

from lpds_ros.contract import Contract
from lpds_ros.nodes import sim_params
from lpds_ros.nodes.base import main as run_node
from lpds_ros.nodes.sim import SimNode
from lpds_ros.parameters import parameter
from lpds_ros.robot.loopback import LoopbackWorld


@dataclass(frozen=True)
class Parameters(sim_params.Parameters):
    """The sim node's, and what takes the place of physics."""

    camera: str = parameter("none", "this robot has none", choices=("none",))
    lag_s: float = parameter(0.02, "time constant of the arm behind its command", "s", range=(0.001, 1.0))
    held_width_m: float = parameter(0.0, "how wide what the hand closes on is; 0: nothing", "m", range=(0.0, 0.08))


class MockNode(SimNode):
    """See the module's docstring. The task's state is said too: no success, reward 0."""

    NAME = "mock"
    Parameters = Parameters

    def make_world(self, contract: Contract) -> LoopbackWorld:
        """A cell without physics."""
        p = self.params
        return LoopbackWorld(
            contract.task,
            control_period_ns=contract.period_ns,
            lag_s=p.lag_s,
            held_width_m=p.held_width_m,
            controllers=self.controllers,
        )


def main(args: list[str] | None = None) -> int:
    """Entry point of the `mock` executable."""
    return run_node(MockNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
