"""Demonstrations with images from the simulation, in one process: the scripted operator drives, the contract's cameras look.

The operator knows where the object is (it observes under the task's own contract); the demonstration does not say it.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from lpds_ros.contract import Contract, load_contract
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.data.demos import demo_from_decisions
from lpds_ros.perception.align import Aligner
from lpds_ros.records import Mark, Observation, OperatorInput
from lpds_ros.resources import resource
from lpds_ros.rollout import Rollout, make_core
from lpds_ros.sim.experts import ScriptedOperator
from lpds_ros.sim.streams import feed


class Collector:
    """Episodes of a contract with images. seed: the operator's; region: where the object may lie.

    `close` gives the cameras back. Raises FileNotFoundError when the task has no contract of its own under config/contracts/.
    """

    def __init__(self, contract: Contract, *, seed: int = 0, region: str = "demo"):
        self.contract = contract
        self._seen: dict[str, list[np.ndarray]] = {name: [] for name in contract.images}
        core = make_core(contract, None, seed=seed)
        self._rollout = Rollout(contract, core, region=region, encode=self._keep)
        knowing = load_contract(resource(f"config/contracts/{contract.task}.yaml"))
        self._operator = ScriptedOperator(knowing, contract.task, seed)
        self._knowing = Aligner(knowing)
        self._begun = False

    def _keep(self, stream: str, picture: np.ndarray) -> np.ndarray:
        self._seen[stream].append(picture)
        return np.zeros(self.contract.images[stream].size)

    def episodes(self, seeds: list[int]) -> Iterator[Demonstration]:
        """The episode of each seed; one without success is no good example."""
        for index, seed in enumerate(seeds):
            for pictures in self._seen.values():
                pictures.clear()
            decisions, self._begun = [], False
            self._knowing.reset()
            for _, decision, ended in self._rollout.episode(index, seed, lambda seen, seed=seed: self._drive(seen, seed)):
                if decision is not None:
                    decisions.append(decision)
                if ended is not None:
                    demo = demo_from_decisions(decisions, ended, "scripted")
            images = {name: np.stack(pictures[: len(demo)]) for name, pictures in self._seen.items()}
            yield dataclasses.replace(demo, images=images)

    def _drive(self, observation: Observation, seed: int) -> OperatorInput:
        world = self._rollout.world
        feed(self._knowing, world.state(), observation.reward, observation.success)
        known = self._knowing.observe(observation.stamp_ns, exact=True)
        if not self._begun:
            self._operator.begin(known, seed)
            self._begun = True
        action, over = self._operator.act(known)
        gave_up = over and not known.success
        return OperatorInput(observation.stamp_ns, True, action, Mark.FAILURE if gave_up else Mark.NONE)

    def close(self):
        """Give the cameras back."""
        self._rollout.close()
