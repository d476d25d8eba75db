"""A diffusion prior as a stochastic policy over its denoising steps, with weights that can be trained (for DPPO).

Step k takes x_k to x_{k+1} ~ N(μ_θ(x_k, s), σ_k²): DDIM with η = 1 (Song et al. 2021, eq. 16), whose σ of the last steps is
raised so that there is something to explore. With η = 0 and σ = 0 the same steps are the decoder of the prior.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.sampler import Decoder, signal_levels, time_steps


def step_coefficients(train_steps: int, steps: int, eta: float) -> np.ndarray:
    """float64 [steps, 3]: x_{k+1} = c0 x_k + c1 clean + c2 draw. The last step lands on `clean` itself, with c2 = 0."""
    levels, visited = signal_levels(train_steps), time_steps(train_steps, steps)
    now, after = levels[visited], np.append(levels[visited[1:]], 1.0)
    sigma = eta * np.sqrt((1.0 - after) / (1.0 - now) * (1.0 - now / after))
    c0 = np.sqrt(np.maximum(1.0 - after - sigma**2, 0.0)) / np.sqrt(1.0 - now)
    return np.stack([c0, np.sqrt(after) - c0 * np.sqrt(now), sigma], axis=1)


class DenoisingPolicy(nn.Module):
    """The prior's decoder with the last `trained` of its K steps (0: all) made by a copy whose weights are trained.

    What time adds to the first layer is a constant of the decoder; in the copy it is trained, a row for each step.
    executed: rows of a chunk that are executed; likelihoods are of these. min_sampling_std, min_logprob_std: least σ, in
    normalised action units. noise_limit: draws are clipped there.
    """

    def __init__(
        self,
        prior: Decoder,
        config: PriorConfig,
        *,
        trained: int,
        executed: int,
        min_sampling_std: float,
        min_logprob_std: float,
        noise_limit: float,
    ):
        super().__init__()
        if not 0 <= trained <= prior.steps:
            raise ValueError(f"trained_steps must lie in [0, {prior.steps}], the prior's steps; got {trained}")
        self.trained = trained or prior.steps
        self._first, self._noise_limit = prior.steps - self.trained, noise_limit
        self._executed = executed * prior.noise_shape[1]
        self.prior, self.tuned = prior, copy.deepcopy(prior).requires_grad_(True)
        bias = self.tuned.time_bias.clone()
        del self.tuned.time_bias
        self.tuned.time_bias = nn.Parameter(bias)
        self.tuned.network.from_time.requires_grad_(False)
        exact, noisy = np.array(prior.coefficients), step_coefficients(config.train_steps, config.steps, 1.0)
        # [K, 4] each: clean = clip(c0 x + c1 out), mean of the next = c2 x + c3 clean
        self._exact, self._noisy = (
            torch.tensor(table, dtype=torch.float32) for table in (exact, np.hstack([exact[:, :2], noisy[:, :2]]))
        )
        sigma = torch.tensor(noisy[:, 2], dtype=torch.float32)
        self._sampling_std, self._logprob_std = sigma.clamp(min=min_sampling_std), sigma.clamp(min=min_logprob_std)

    def parameters_trained(self) -> list[nn.Parameter]:
        """The weights that are learned."""
        return [parameter for parameter in self.tuned.parameters() if parameter.requires_grad]

    @torch.no_grad()
    def decode(self, state: Tensor, noise: Tensor) -> Tensor:
        """Without chance: DDIM with η = 0 from `noise` [B, T_p, d_a]; state [B, d_o], raw → chunk [B, T_p, d_a]."""
        x = noise.flatten(1)
        for k in range(self.prior.steps):
            x = self._mean(self._exact, state, x, k)
        return self.prior.bounded(x)

    @torch.no_grad()
    def sample(self, state: Tensor, noise: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Chunk [B, T_p, d_a] and chain [B, trained + 1, T_p·d_a], from `noise` [B, T_p, d_a].

        draws: standard normal [K, B, T_p·d_a]. The chunk is the chain's end within the bounds of the prior's actions: they
        belong to the environment, likelihoods are of the chain.
        """
        x, chain = noise.flatten(1), []
        for k, draw in enumerate(draws.clamp(-self._noise_limit, self._noise_limit)):
            if k >= self._first:
                chain.append(x)
            x = self._mean(self._noisy, state, x, k) + self._sampling_std[k] * draw
        return self.prior.bounded(x), torch.stack([*chain, x], 1)

    def log_prob(self, state: Tensor, before: Tensor, after: Tensor, k: Tensor) -> Tensor:
        """log N(after | μ_θ(before, state), σ_k²), the MEAN over the executed dimensions: [B].

        state [B, d_o], raw; before, after [B, T_p·d_a]; k int [B], counted from the first trained step. The mean is the
        public code's: a clip then bounds the ratio of one dimension.
        """
        k = k + self._first
        mean, std = self._mean(self._noisy, state, before, k), self._logprob_std[k, None]
        return torch.distributions.Normal(mean, std).log_prob(after)[:, : self._executed].mean(1)

    def _mean(self, table: Tensor, state: Tensor, x: Tensor, k: int | Tensor) -> Tensor:
        """Mean of the next x; k: one step for all rows, or a step for each (trained ones only)."""
        decoder = self.prior if isinstance(k, int) and k < self._first else self.tuned
        c0, c1, c2, c3 = table[k].unsqueeze(-1).unbind(-2)
        features = decoder.network.from_state(decoder.normalised(state))
        out = decoder.network.trunk(x, features + decoder.time_bias[k])
        return c2 * x + c3 * torch.clamp(c0 * x + c1 * out, -1.0, 1.0)
