"""What the scripted operators of Adroit's tasks share: a pace drawn for every episode, and an arm that trembles.

The trembling action is executed, the intended one recorded, so that the demonstrations show how to come back (DART, arXiv
1703.09327).
"""

from dataclasses import dataclass

import mujoco
import numpy as np

SPRING = 2.5  # joint angle, rad or m, that the arm's motors settle at for a control of 1: gain 500 over bias 200


@dataclass(frozen=True)
class Traits:
    """(lowest, highest) of what is drawn anew for every episode.

    pace: share of the full speed. tremble: standard deviation in actions' units of ±1; memory: its correlation over a step.
    """

    pace: tuple[float, float] = (0.2, 1.0)
    tremble: tuple[float, float] = (0.0, 0.05)
    memory: float = 0.8


class Operator:
    """One episode's operator; a task's own says with `_control` what the motors are to do. inner: the unwrapped environment."""

    def __init__(self, inner, traits: Traits, rng: np.random.Generator):
        self._model, self._middle, self._half, self._rng = inner.model, inner.act_mean, inner.act_rng, rng
        self.pace, self._tremble, self._memory = rng.uniform(*traits.pace), rng.uniform(*traits.tremble), traits.memory
        self._shake, self.phase = np.zeros(self._model.nu), "reach"

    def act(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """(the action intended, the trembling one to execute), float32 [n_u] in [-1, 1]."""
        intended = (self._control(data) - self._middle) / self._half
        memory, draw = self._memory, self._rng.standard_normal(len(intended))
        self._shake = memory * self._shake + np.sqrt(1.0 - memory**2) * self._tremble * draw
        intended = np.clip(intended, -1.0, 1.0)
        return intended.astype(np.float32), np.clip(intended + self._shake, -1.0, 1.0).astype(np.float32)

    def _control(self, data: mujoco.MjData) -> np.ndarray:
        """Motor controls [n_u] of the present phase, before tremble."""
        raise NotImplementedError
