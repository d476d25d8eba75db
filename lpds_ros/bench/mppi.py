"""Model predictive path integral control on a MuJoCo model (Williams et al. 2017, arXiv 1707.02342): an expert without a network.

Each plan simulates K noisy copies of the best known action sequence from the present state and averages them, weighted by
exp(−cost / λ); λ is a share of the costs' spread, so that no task needs its own temperature. The noise is correlated over
time, since a hand that trembles grips nothing. The first action is executed, the rest is where the next plan starts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np

STATE = mujoco.mjtState.mjSTATE_INTEGRATION  # all that the future depends on, the solver's warm start included
# After these MuJoCo resets the state by itself: what follows is of another episode.
FAILURES = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


@dataclass(frozen=True)
class MppiConfig:
    """samples K, of which one is the mean itself; horizon H in actions. noise: standard deviation in actions' units of ±1.

    smoothness: correlation of the noise between one action and the next. temperature: λ in standard deviations of the
    samples' costs. terminal: how often the last state's cost counts. warm_plans: plans made before the first action.
    """

    samples: int = 40
    horizon: int = 20
    noise: float = 0.3
    smoothness: float = 0.8
    temperature: float = 0.1
    terminal: float = 1.0
    warm_plans: int = 1

    def __post_init__(self):
        if self.samples < 2 or self.horizon < 1 or self.warm_plans < 1:
            raise ValueError("MPPI needs at least 2 samples, a horizon of 1 and 1 warm plan")
        if not (self.noise > 0 and 0.0 <= self.smoothness < 1.0 and self.temperature > 0 and self.terminal >= 0):
            raise ValueError("MPPI needs noise and temperature above 0, smoothness in [0, 1) and terminal of at least 0")


class Mppi:
    """Plans actions in [-1, 1] for a MuJoCo model.

    cost: of the state an action led to, read from MjData. steps_per_action: simulation steps one action is held for.
    middle, half [n_u]: control = middle + half · action. The model is read at every plan: what a reset changes in it counts.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        cost: Callable[[mujoco.MjData], float],
        config: MppiConfig,
        *,
        steps_per_action: int,
        middle: np.ndarray,
        half: np.ndarray,
        seed: int,
    ):
        self.config, self._model, self._cost, self._steps = config, model, cost, steps_per_action
        self._middle, self._half = middle, half
        self._data = mujoco.MjData(model)
        self._state = np.empty(mujoco.mj_stateSize(model, STATE))
        self._rng = np.random.default_rng(seed)
        self._plans_due = config.warm_plans
        self.mean = np.zeros((config.horizon, model.nu))

    def act(self, data: mujoco.MjData) -> np.ndarray:
        """The next action [n_u] from the state in `data`, which is left as it is; the plan moves on by one action."""
        mujoco.mj_getState(self._model, data, self._state, STATE)
        for _ in range(self._plans_due):
            self.improve()
        self._plans_due = 1
        action = self.mean[0].copy()
        self.mean = np.concatenate([self.mean[1:], self.mean[-1:]])
        return action

    def improve(self):
        """One update of the mean from the state last given to `act`."""
        samples = np.clip(self.mean + self._noise(), -1.0, 1.0)
        costs = np.array([self.cost_of(sample) for sample in samples])
        self.mean = np.tensordot(weights(costs, self.config.temperature), samples, axes=1)

    def cost_of(self, actions: np.ndarray) -> float:
        """Mean cost along `actions` [H, n_u] from the state last given to `act`; infinite where the simulation fails."""
        model, data, total, cost = self._model, self._data, 0.0, 0.0
        mujoco.mj_setState(model, data, self._state, STATE)
        for control in self._middle + self._half * actions:
            data.ctrl[:] = control
            mujoco.mj_step(model, data, self._steps)
            cost = self._cost(data)
            total += cost
        if any(data.warning[kind].number for kind in FAILURES) or not np.isfinite(total):
            mujoco.mj_resetData(model, data)  # and with it the warnings
            return np.inf
        return (total + self.config.terminal * cost) / (len(actions) + self.config.terminal)

    def _noise(self) -> np.ndarray:
        """[K, H, n_u]: first-order autoregressive in time with equal variance throughout; the first sample has none."""
        c = self.config
        noise = self._rng.standard_normal((c.samples, *self.mean.shape))
        for step in range(1, c.horizon):
            noise[:, step] = c.smoothness * noise[:, step - 1] + np.sqrt(1.0 - c.smoothness**2) * noise[:, step]
        noise[0] = 0.0
        return c.noise * noise


def weights(costs: np.ndarray, temperature: float) -> np.ndarray:
    """exp(−(cost − best) / (temperature · spread)), normalised [K]; samples of infinite cost get none.

    Equal weights when all costs are equal, or all infinite.
    """
    finite = np.isfinite(costs)
    if not finite.any():
        return np.full(len(costs), 1.0 / len(costs))
    spread = costs[finite].std()
    scaled = np.where(finite, costs - costs[finite].min(), np.inf) / max(temperature * spread, 1e-12)
    found = np.exp(-scaled)
    return found / found.sum()
