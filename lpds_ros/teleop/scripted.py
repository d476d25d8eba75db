"""The scripted operator as a device: the same imperfect person the prior is trained on, through the same topics."""

import numpy as np

from lpds_ros.records import Mark, Observation, OperatorInput
from lpds_ros.sim.experts import ScriptedOperator
from lpds_ros.teleop.device import Device


class Scripted(Device):
    """Drives every tick of every episode. Marks a failure when it gives up; success is the task's to tell."""

    name = "scripted"

    def __init__(self, contract, *, task: str, seed: int = 0, **options):
        super().__init__(contract, **{**options, "takeover": "always"})
        self._operator = ScriptedOperator(contract, task, seed)
        self._begun = self._over = False

    def begin(self, observation: Observation, seed: int):
        self._operator.begin(observation, seed)
        self._begun, self._over = True, False

    def command(self, observation: Observation) -> OperatorInput:
        """Inactive until an episode has begun, while the observation is invalid, and once the operator is done."""
        if not (self._begun and observation.valid) or self._over:
            return OperatorInput(observation.stamp_ns, False, np.zeros(self._contract.action.size, np.float32))
        action, self._over = self._operator.act(observation)
        gave_up = self._over and not observation.success
        return OperatorInput(observation.stamp_ns, True, action, Mark.FAILURE if gave_up else Mark.NONE)
