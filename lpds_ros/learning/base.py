"""What learners from a replay share, whatever they learn: data, updates owed, normalisation, decoding, one gradient step."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lpds_ros.contract import Contract
from lpds_ros.learning.compiled import CompiledGradient, require_compiler
from lpds_ros.learning.config import updates_owed
from lpds_ros.learning.replay import Batch, Replay, Transitions
from lpds_ros.problem import Problem


def descend(optimizer: torch.optim.Optimizer, loss: Tensor):
    """One step of `optimizer` down `loss`; gradients are computed for its own parameters alone."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward(inputs=optimizer.param_groups[0]["params"])
    optimizer.step()


class ReplayLearner:
    """A subclass names its modules in NETWORKS (what a checkpoint holds), those that choose actions in POLICY, and makes them,
    with `optimizers`, in `_build`.

    decode: Φ, (state float32 [B, T_o·d_o], noise float32 [B, T_p, d_a]) → chunk float32 [B, T_p, d_a], the very session
    that is deployed (a bench may give its like in bfloat16). state_shift, state_scale: float32 [T_o·d_o], the prior's
    normalisation of the observation. config: with replay_capacity, timeout_terminates, reward_offset, n_step,
    gamma, distill_share, compiled, warmup_decisions, critic_warmup_updates and updates_per_decision.
    """

    NETWORKS: tuple[str, ...]
    POLICY: tuple[str, ...]

    def __init__(
        self,
        contract: Contract | Problem,
        decode: Callable[[np.ndarray, np.ndarray], np.ndarray],
        *,
        prior_digest: str,
        state_shift: np.ndarray,
        state_scale: np.ndarray,
        config,
        seed: int,
    ):
        if config.compiled:
            require_compiler()
        self.contract, self.config, self.prior_digest, self._decode = contract, config, prior_digest, decode
        self.noise_size = math.prod(contract.noise_shape)
        self._shift = torch.from_numpy(np.array(state_shift, np.float32))
        self._scale = torch.from_numpy(np.array(state_scale, np.float32))
        self.rng = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build()
        self.replay = Replay(
            contract,
            config.replay_capacity,
            timeout_terminates=config.timeout_terminates,
            reward_offset=config.reward_offset,
            action_size=self.action_size,
        )
        self.updates = 0
        self.version = 0
        self._gradients: dict[str, CompiledGradient] = {}
        self.frozen = ""  # why nothing is learned any more
        self.lineage = ""  # of the robot's last rollback that was gone along with

    def _build(self):
        raise NotImplementedError

    @property
    def action_size(self) -> int:
        """Numbers of one action of the replay: the executed rows of a chunk."""
        return self.contract.horizons.executed * self.contract.action_size

    def extend(self, transitions: Transitions):
        """Store a batch of decisions made by vectorised environments. ValueError if it cannot be used."""
        self.replay.extend(transitions)

    @property
    def warm(self) -> bool:
        """True once the replay holds the warm-up's decisions."""
        return self.replay.total >= max(1, self.config.warmup_decisions)

    @property
    def owed(self) -> int:
        """Updates still owed for the decisions received."""
        return updates_owed(self.config, self.replay.total, self.updates)

    def _descend(self, name: str, loss: Callable[..., tuple[Tensor, ...]], *tensors: Tensor, learn: bool = True):
        """One step of the optimiser of network `name` down loss(*tensors) → (loss, further tensors), which are returned.

        Everything in `loss` that changes from one update to the next is an argument of it or a network of this learner: with
        `compiled` the rest is a constant. A loss that is not finite takes no step, and no step is taken after it.
        """
        compiled = self.config.compiled
        if compiled and name not in self._gradients:
            self._gradients[name] = CompiledGradient(getattr(self, name), loss)
        value, *told = self._gradients[name](*tensors) if compiled else loss(*tensors)
        if learn and not self.frozen and not torch.isfinite(value):
            self.frozen = f"the {name}'s loss is {value.item()} at update {self.updates}: nothing is learned any more"
        if learn and not self.frozen:
            if compiled:
                self.optimizers[name].step()
            else:
                descend(self.optimizers[name], value)
        return value, *told

    @property
    def _distils(self) -> bool:
        """Whether this update makes a step of Q^W: `distill_share` of them do."""
        share = self.config.distill_share
        return int((self.updates + 1) * share) > int(self.updates * share)

    def _sample(self, replay: Replay, count: int) -> Batch:
        return replay.sample(count, self.rng, self.config.n_step, self.config.gamma)

    def _normalise(self, state: Tensor) -> Tensor:
        return (state - self._shift) / self._scale

    def _normal(self, rows: int) -> Tensor:
        return torch.from_numpy(self.rng.standard_normal((rows, self.noise_size), np.float32))

    def _chunks(self, state: Tensor, latent: Tensor) -> Tensor:
        """Φ(s, w): [B, T_p, d_a]."""
        return torch.from_numpy(self._decode(state.numpy(), latent.numpy().reshape(-1, *self.contract.noise_shape)))

    def _executed(self, chunks: Tensor) -> Tensor:
        """The executed rows of chunks [B, T_p, d_a], flattened: [B, T_a·d_a]."""
        return chunks[:, self.contract.horizons.run].flatten(1)

    def _act(self, state: Tensor, latent: Tensor) -> Tensor:
        """Executed part of Φ(s, w), flattened: [B, T_a·d_a]."""
        return self._executed(self._chunks(state, latent))
