"""The ablation "residual in action space": a = clip(Φ(s, ε) + Δ_θ(s, ε)), everything else as in LP-DS.

The decoder can no longer turn a perturbed noise into an action of the demonstrations' kind; the trust region is one on actions.
"""

import numpy as np
import torch
from torch import Tensor

from lpds_ros.learning.lpds import Learner


class ActionResidualLearner(Learner):
    """LP-DS whose actor adds to decoded actions and climbs Q^A itself; Q^W is not used.

    bounds: float32 [2, d_a], lowest and highest value of an action row. Further arguments: those of Learner.
    """

    def __init__(self, *arguments, bounds: np.ndarray, **named):
        super().__init__(*arguments, **named)
        self._low, self._high = (torch.from_numpy(np.array(bound, np.float32)) for bound in bounds)

    def update(self) -> dict[str, float]:
        """One step of Q^A, of the actor and of the dual. Returns the metrics of the step."""
        batch, count = self._batch(), self.config.actor_noises
        state, next_state = self._normalise(batch.state), self._normalise(batch.next_state)
        rows = len(state)
        raw_state, many = (s.repeat_interleave(count, 0) for s in (batch.state, state))
        with torch.no_grad():
            next_noise, noise = self._normal(rows), self._normal(rows * count)
            chunks = self._chunks(torch.cat([batch.next_state, raw_state]), torch.cat([next_noise, noise]))
            next_action = self._compose(chunks[:rows], self.actor(next_state, next_noise))
        metrics = self._update_critic(state, batch, next_state, next_action)
        learn = self.updates >= self.config.critic_warmup_updates
        metrics |= self._climb(self._actor_loss, many, noise, chunks[rows:], learn=learn)
        self._track()
        self.updates += 1
        return metrics

    def _actor_loss(self, state: Tensor, noise: Tensor, chunks: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        """−Q^A(s, Φ(s, ε) + Δ) + α (‖Δ‖² − δ)."""
        raw = self.actor.raw(state, noise)
        delta = self.actor.project(raw)
        values = self.critic(torch.cat([state, self._compose(chunks, delta)], -1))
        return self._constrained(values, raw, delta, alpha)

    def _compose(self, chunks: Tensor, delta: Tensor) -> Tensor:
        """Executed part of the corrected chunks, flattened: [B, T_a·d_a]."""
        corrected = chunks + delta.unflatten(1, self.contract.noise_shape)
        return self._executed(torch.clamp(corrected, self._low, self._high))
