"""The stack in one process, without ROS: simulation, alignment and steering core, tick by tick as in lockstep.

`lpds eval`, `lpds prior eval` and the tests run on it. It moves the very numbers that the nodes exchange.
"""

import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.perception.align import Aligner
from lpds_ros.records import Decision, Episode, Observation, OperatorInput
from lpds_ros.robot.command_modes import CartesianPose, CommandMode
from lpds_ros.robot.gripper import HandCommands
from lpds_ros.robot.targets import Target
from lpds_ros.sim.eyes import Eyes
from lpds_ros.sim.streams import feed
from lpds_ros.sim.world import World
from lpds_ros.steering.core import SteeringCore, SteeringParams

Operator = Callable[[Observation], OperatorInput]
Encode = Callable[[str, np.ndarray], np.ndarray]


class Rollout:
    """Runs episodes of `core` in a simulated world of the contract's task.

    region: "full" or "demo", where the task may place its object. hand: widths, speeds and forces of the gripper's goals.
    encode: (stream, picture) -> features, the prior's encoders; needed where the contract has images, which are then rendered in
    the thread that makes this object, and `close` gives their contexts back.
    command_mode: how the arm is commanded; None: by pose targets.
    """

    def __init__(
        self,
        contract: Contract,
        core: SteeringCore,
        *,
        region: str = "full",
        hand: HandCommands | None = None,
        encode: Encode | None = None,
        command_mode: CommandMode | None = None,
    ):
        if contract.images and encode is None:
            raise ValueError(f"contract {contract.name} has images: give the encoders of its prior (EncoderSession.encode)")
        self.contract, self.core, self.region = contract, core, region
        self.world = World(contract.task, control_period_ns=contract.period_ns)
        self.aligner = Aligner(contract)
        self.hand = hand or HandCommands()
        self._encode = encode
        self._eyes = Eyes(contract, self.world.model) if contract.images else None
        self.command_mode = command_mode or CartesianPose()

    def episode(
        self, index: int, seed: int, operator: Operator | None = None
    ) -> Iterator[tuple[Observation, Decision | None, Episode | None]]:
        """Yield (observation, finished decision, ended episode) for every tick until the episode ends."""
        self.world.reset(seed, self.region)
        self.aligner.reset()
        mode = self.command_mode
        mode.hold(self.world.time_ns)
        self.core.begin_episode(index, seed, not_before_ns=self.world.time_ns)
        while True:
            if self._eyes is not None:
                self._eyes.feed(self.aligner, self.world.time_ns, self.world.data.qpos, self._encode)
            feed(self.aligner, self.world.state(), *self.world.task_result())
            observation = mode.seen(self.aligner.observe(self.world.time_ns, exact=True))
            tick = self.core.tick(observation, operator(observation) if operator else None)
            yield observation, tick.decision, tick.episode
            if tick.episode is not None:
                return
            if tick.gripper is not None:
                self.hand.apply(self.world, tick.gripper)
            ahead = self.core.ahead() if mode.looks_ahead else ()
            self._advance(mode.send(tick.targets, tick.mode, observation, ahead))

    def close(self):
        """Give the cameras back, where there are any."""
        if self._eyes is not None:
            self._eyes.close()

    def _advance(self, targets: tuple[Target, ...]):
        """Apply each target at its stamp and advance one control period."""
        end_ns = self.world.time_ns + self.contract.period_ns
        for target, until_ns in zip(targets, [t.stamp_ns for t in targets[1:]] + [end_ns]):
            target.apply(self.world)
            self.world.advance_to(until_ns)


@dataclass(frozen=True)
class Evaluation:
    """Outcome of fixed seeds. Intervals are Wilson's, 95 %."""

    episodes: tuple[Episode, ...]

    @property
    def success(self) -> float:
        return float(np.mean([e.success for e in self.episodes]))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson score interval of the success rate."""
        n, p, z = len(self.episodes), self.success, 1.959964
        middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def make_core(
    contract: Contract, decoder, *, seed: int, actor=None, params: SteeringParams | None = None
) -> SteeringCore:
    """A steering core with a session of its own and, where given, an actor installed before the first chunk."""
    core = SteeringCore(contract, params or SteeringParams(), decoder, seed=seed, session=uuid.uuid4().hex)
    if actor is not None:
        core.install_weights(actor)
    return core


def evaluate(rollout: Rollout, seeds: list[int], on_episode: Callable[[Episode], None] | None = None) -> Evaluation:
    """Run one episode per seed. The noise of an episode depends on its seed alone, so any order gives the same result."""
    episodes = []
    for index, seed in enumerate(seeds):
        for _, _, ended in rollout.episode(index, seed):
            if ended is not None:
                episodes.append(ended)
        if on_episode is not None:
            on_episode(episodes[-1])
    return Evaluation(tuple(episodes))
