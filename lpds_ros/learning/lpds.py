"""LP-DS, the whole algorithm: critic in action space, critic in noise space, perturbation actor, dual variable.

Simsir & Oguz, "Lagrangian Perturbation Diffusion Steering", arXiv 2606.01151. Symbols: s state, ε base noise, Δ_θ(s, ε)
the learned residual, w = ε + Δ, Φ the frozen decoder, a = Φ(s, w), α the dual variable of E‖Δ‖² ≤ δ.
"""

import copy
import dataclasses

import numpy as np
import torch
from torch import Tensor

from lpds_ros.learning.base import ReplayLearner
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.networks import EnsembleMLP, PerturbationActor
from lpds_ros.learning.pool import LatentPool, NextActions
from lpds_ros.learning.replay import Batch, Replay, Transitions, join
from lpds_ros.records import Decision
from lpds_ros.weights import ActorParameters

ALPHA_MAX = 1e4  # of the dual: beyond it the values no longer count


class Learner(ReplayLearner):
    """Owns networks, replay and dual; `update` makes one gradient step of each."""

    NETWORKS = ("critic", "target_critic", "noise_critic", "actor", "published_actor", "pool")
    POLICY = ("published_actor",)

    def __init__(self, *arguments, config: LearnerConfig, **named):
        super().__init__(*arguments, config=config, **named)
        self.demonstrations: Replay | None = None
        self._next_actions = NextActions(config.replay_capacity, self.action_size)
        self.alpha = config.alpha_init if config.lagrangian else 0.0

    def _build(self):
        c, state, action = self.config, self.contract.state_size, self.action_size
        half, critic = c.precision == "bfloat16", (c.critic_width, c.critic_layers)
        self.critic = EnsembleMLP(c.critics, state + action, *critic, half)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.noise_critic = EnsembleMLP(c.critics, state + self.noise_size, *critic, half)
        radius = c.radius(self.noise_size)
        self.actor = PerturbationActor(state, self.noise_size, c.actor_width, c.actor_layers, c.context, radius, half)
        self.pool = LatentPool(c.distill_pool, c.distill_noises, (state, self.noise_size, action))
        self.published_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.optimizers = {
            name: torch.optim.Adam(getattr(self, name).parameters(), lr=rate, fused=True)
            for name, rate in (
                ("critic", c.learning_rate),
                ("noise_critic", c.distill_learning_rate),
                ("actor", c.actor_learning_rate),
            )
        }

    # Data

    def add(self, decision: Decision) -> bool:
        """Store one decision, whoever made it. False if its id is known; ValueError if it cannot be used."""
        return self.replay.add(decision)

    def add_demonstrations(self, demonstrations: list[Decision] | Transitions):
        """Load demonstrations; `demo_share` of each batch is drawn from them."""
        if self.demonstrations is None:
            self.demonstrations = Replay(self.contract, self.config.replay_capacity)
        if isinstance(demonstrations, Transitions):
            self.demonstrations.extend(demonstrations)
            return
        for decision in demonstrations:
            self.demonstrations.add(decision)

    def _batch(self) -> Batch:
        c, share = self.config, self.config.demo_share
        if self.demonstrations is None or self.demonstrations.size == 0:
            share = 0.0
        elif c.demo_share_half_life > 0:
            share *= 0.5 ** (self.replay.total / c.demo_share_half_life)
        demos = round(share * c.batch_size)
        batch = self._sample(self.replay, c.batch_size - demos)
        if not demos:
            return batch
        found = self._sample(self.demonstrations, demos)
        return join(batch, dataclasses.replace(found, serial=torch.full_like(found.serial, -1)))  # another replay's numbers

    # One update

    def update(self) -> dict[str, float]:
        """One step of Q^A, of Q^W (`distill_share` of the updates), of the actor and of the dual. Returns its metrics."""
        batch = self._batch()
        state, next_state = self._normalise(batch.state), self._normalise(batch.next_state)
        with torch.no_grad():
            next_action = self._decoded(batch, next_state)
        metrics = self._update_critic(state, batch, next_state, next_action)
        if self._distils:
            metrics |= self._update_noise_critic(*self.pool.sample(self.config.distill_states, self.rng))
        metrics |= self._update_actor(state, learn=self.updates >= self.config.critic_warmup_updates)
        self._track()
        self.updates += 1
        return metrics

    def _decoded(self, batch: Batch, next_state: Tensor) -> Tensor:
        """Actions Φ(s', ε' + Δ) of the minibatch's next states [B, T_a·d_a], of which `target_refresh` and those never seen are
        decoded; one batched decode serves them and, where Q^W takes a step, the pool that it is fitted on.
        """
        serial = batch.serial.numpy()
        stale = np.flatnonzero(~self._next_actions.known(serial) | (self.rng.random(len(serial)) < self.config.target_refresh))
        noise = self._base_noise(len(stale))
        latent = noise + self.actor(next_state[stale], noise)
        raw = batch.next_state[stale]
        if self._distils:
            pool_state, pool_latent = self._distillation_set(batch.state)
            raw, latent = torch.cat([raw, pool_state]), torch.cat([latent, pool_latent])
        elif len(stale) == 0:
            return torch.from_numpy(self._next_actions.get(serial))
        action = self._act(raw, latent)
        if self._distils:
            self.pool.add(self._normalise(pool_state), pool_latent, action[len(stale) :])
        self._next_actions.put(serial[stale], action[: len(stale)].numpy())
        found = self._next_actions.get(serial)
        found[stale] = action[: len(stale)].numpy()  # also where a transition is kept by no number
        return torch.from_numpy(found)

    def _update_critic(self, state: Tensor, batch: Batch, next_state: Tensor, next_action: Tensor) -> dict[str, float]:
        discount = self.config.gamma * batch.bootstrap
        tensors = (state, batch.action, batch.reward, discount, next_state, next_action)
        loss, mean = self._descend("critic", self._critic_loss, *tensors)
        return {"critic/loss": loss.item(), "critic/q_mean": mean.item()}

    def _critic_loss(self, state, action, reward, discount, next_state, next_action) -> tuple[Tensor, ...]:
        """y = Σ γ^i r_i + γ^m (1 − done) min_i Q̄_i^A(s', Φ(s', w')): no entropy term, no temperature; m is 1 or `n_step`."""
        with torch.no_grad():
            next_value = self.target_critic(torch.cat([next_state, next_action], -1)).min(0).values
            target = reward + discount * next_value
        values = self.critic(torch.cat([state, action], -1))
        return (values - target).square().mean() * values.shape[0], values.mean()

    def _distillation_set(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """What to decode anew: states [S·M, T_o·d_o] (raw, each M times in a row) and latents, base noise first, then the
        actor's own ε + Δ.
        """
        noises = self.config.distill_noises
        # Drawn from all of the minibatch: its last rows are demonstrations.
        drawn = self.rng.choice(len(state), min(self.config.distill_fresh, len(state)), replace=False)
        state = state[drawn].repeat_interleave(noises, 0)
        noise = self._normal(len(state))
        steered = torch.arange(len(state))[:, None] % noises >= round(self.config.distill_base_fraction * noises)
        base = self.config.noise_scale * noise
        return state, torch.where(steered, base + self.actor(self._normalise(state), base), noise)

    def _base_noise(self, rows: int) -> Tensor:
        """ε as it is steered [rows, T_p·d_a]. Q^W is fitted on all of the prior's noise, so that it knows where to go."""
        return self.config.noise_scale * self._normal(rows)

    def _update_noise_critic(self, state: Tensor, latent: Tensor, action: Tensor) -> dict[str, float]:
        loss, plain, contrast = self._descend("noise_critic", self._noise_critic_loss, state, latent, action)
        return {"distill/loss": plain.item(), "distill/contrast": contrast.item()}

    def _noise_critic_loss(self, state: Tensor, latent: Tensor, action: Tensor) -> tuple[Tensor, ...]:
        """Q_i^W(s, w) regresses on Q_i^A(s, Φ(s, w)), member by member.

        Most of Q's variance lies between states, but the actor climbs along w at one state: the contrast term fits the
        differences between the noises of each state.
        """
        with torch.no_grad():
            target = self.critic(torch.cat([state, action], -1))
        error = self.noise_critic(torch.cat([state, latent], -1)) - target
        plain = error.square().mean()
        groups = error.unflatten(1, (-1, self.config.distill_noises))
        contrast = (groups - groups.mean(-1, keepdim=True)).square().mean()
        return (plain + self.config.distill_contrast * contrast) * error.shape[0], plain, contrast

    def _update_actor(self, state: Tensor, learn: bool) -> dict[str, float]:
        state = state.repeat_interleave(self.config.actor_noises, 0)
        return self._climb(self._actor_loss, state, self._base_noise(len(state)), learn=learn)

    def _actor_loss(self, state: Tensor, noise: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        """−Q^W(s, ε + Δ) + α (‖Δ‖² − δ). The gradient never enters Φ.

        With actor_target "gain" each critic is asked for Q^W(s, ε + Δ) − Q^W(s, ε), and the least counts: their offsets,
        which differ more from state to state than noises differ within one, choose no longer who is listened to.
        """
        raw = self.actor.raw(state, noise)
        delta = self.actor.project(raw)
        values = self.noise_critic(torch.cat([state, noise + delta], -1))
        if self.config.actor_target == "gain":
            with torch.no_grad():
                unmoved = self.noise_critic(torch.cat([state, noise], -1))
            values = values - unmoved
        return self._constrained(values, raw, delta, alpha)

    def _constrained(self, values: Tensor, raw: Tensor, delta: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        """The actor's loss from the `values` [E, B] of its residuals `raw` (bounded: `delta`) [B, T_p·d_a], by how much they
        exceed the budget, and ‖Δ‖² as a sum. alpha: float64 [].
        """
        c = self.config
        value = values.mean(0) if c.actor_target == "mean" else values.min(0).values
        gap = c.reduce(raw.square().sum(-1).mean(), self.noise_size) - c.delta
        if c.alpha_relative:
            gap = gap / c.delta
        # Integral control alone swings: the residual overshoots, α winds up, the policy shifts under its critics. The
        # proportional term damps it (Stooke et al. 2020, PID Lagrangian).
        weight = (alpha + c.alpha_proportional * gap.detach().double()).clamp(min=0.0).float() if c.lagrangian else 0.0
        return -value.mean() + weight * gap, gap, delta.detach().square().sum(-1).mean()

    def _climb(self, actor_loss, *tensors: Tensor, learn: bool) -> dict[str, float]:
        """One step of the actor down actor_loss(*tensors, α), as `_constrained` returns it, then the projected dual ascent.

        Before `learn` only the metrics are computed: an actor that follows critics made of noise leaves the region at once.
        """
        c, alpha = self.config, torch.tensor(self.alpha, dtype=torch.float64)
        loss, gap, total = self._descend("actor", actor_loss, *tensors, alpha, learn=learn)
        if learn and c.lagrangian and not self.frozen:
            self.alpha = min(ALPHA_MAX, max(0.0, self.alpha + c.alpha_learning_rate * min(2.0, gap.item())))
        return {
            "actor/loss": loss.item(),
            "dual/alpha": self.alpha,
            "delta/sq_mean": total.item() / self.noise_size,
            "delta/sq_sum": total.item(),
            "delta/budget": c.delta,
        }

    @torch.no_grad()
    def _track(self):
        """Move the target critic and the published actor towards their sources."""
        pairs = (
            (self.target_critic, self.critic, self.config.tau),
            (self.published_actor, self.actor, 1 - self.config.actor_ema),
        )
        for follower, leader, rate in pairs:
            torch._foreach_lerp_(list(follower.parameters()), list(leader.parameters()), rate)

    @torch.no_grad()
    def perturb(self, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Δ of the published actor: state float32 [B, T_o·d_o] (raw), noise [B, T_p, d_a] → float32 [B, T_p, d_a]."""
        flat = torch.from_numpy(np.ascontiguousarray(noise.reshape(len(noise), -1), np.float32))
        delta = self.published_actor(self._normalise(torch.from_numpy(np.ascontiguousarray(state, np.float32))), flat)
        return delta.numpy().reshape(noise.shape)

    # Publishing

    @torch.no_grad()
    def go_back(self, parameters: ActorParameters | None):
        """Go on from these weights of an earlier version, or from the prior. The critics, which learn of any policy, stay.

        Raises ValueError when they are another network's or of another noise, and changes nothing.
        """
        layers = [] if parameters is None else [(torch.tensor(w), torch.tensor(b)) for w, b in parameters.layers]
        own = [(layer.weight, layer.bias) for layer in self.actor.layers]
        shapes, expected = ([[tuple(t.shape) for t in pair] for pair in pairs] for pairs in (layers, own))
        if parameters is None:
            layers = [*own[:-1], tuple(torch.zeros_like(tensor) for tensor in own[-1])]
        elif shapes != expected or parameters.context != self.config.context:
            raise ValueError(
                f"version {parameters.version} has layers {[s[0] for s in shapes]} of {parameters.context}, this learner "
                f"{[s[0] for s in expected]} of {self.config.context}: use the configuration that made it"
            )
        if parameters is not None and parameters.noise_scale != self.config.noise_scale:
            raise ValueError(
                f"version {parameters.version} steers noise of spread {parameters.noise_scale:g}, this learner "
                f"{self.config.noise_scale:g}: use the configuration that made it"
            )
        for actor in (self.actor, self.published_actor):
            for layer, (weight, bias) in zip(actor.layers, layers):
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
        self.optimizers["actor"].state.clear()  # the momentum was the fallen version's

    def actor_parameters(self) -> ActorParameters:
        """The next version of the actor, to be packed and pushed. Each call is a new version."""
        self.version += 1
        layers = tuple(
            (layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy())
            for layer in self.published_actor.layers
        )
        return ActorParameters(
            version=self.version,
            updates=self.updates,
            contract_digest=self.contract.digest,
            prior_digest=self.prior_digest,
            radius=self.actor.radius,
            noise_scale=self.config.noise_scale,
            context=self.config.context,
            state_shift=self._shift.numpy(),
            state_scale=self._scale.numpy(),
            layers=layers,
        )
