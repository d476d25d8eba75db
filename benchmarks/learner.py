"""Updates per second: this project's learners against a DSRL learner made of Stable-Baselines3's parts, in turn, in one run.

Equal networks (layers, widths, LayerNorm, number of critics), equal batch, one frozen decoder for all. The Stable-Baselines3
one follows the public DSRL code: its SAC policy, critics one after the other, its replay buffer, a second critic for Q^W that
gets ten steps for twenty of Q^A. An update of ours is one step of Q^A, of Q^W, of the actor and of the dual; "half of Q^W" takes
its step for every second, as the other learner does.

    python benchmarks/learner.py --threads 2
"""

import argparse
import copy
import dataclasses
import json
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from drawn import drawn_decoder
from torch import nn
from torch.nn import functional as F

from lpds_ros.bench.dsrl import DsrlConfig, DsrlLearner
from lpds_ros.bench.priors import decode, halved
from lpds_ros.bench.results import provenance
from lpds_ros.contract import Horizons
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.replay import Transitions
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

PEER = "sb3 dsrl-na"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Sizes of one task: numbers of a state and of an action row, width of critics and actor, and the prior."""

    state: int
    action: int
    width: int
    prior: PriorConfig


RECIPES = {  # "ours" apart, those of the public DSRL code
    "ours": Recipe(23, 7, 128, PriorConfig()),
    "hopper": Recipe(11, 3, 128, PriorConfig(width=512, blocks=1)),
    "halfcheetah": Recipe(17, 6, 1024, PriorConfig(width=512, blocks=1)),
    "can": Recipe(23, 7, 2048, PriorConfig(width=512, blocks=1, steps=8)),
    "square": Recipe(23, 7, 2048, PriorConfig(width=1024, blocks=1, steps=8)),
}
LAYERS, BATCH = 3, 256  # of all of them
STORED = 4000
WARMUP = 60  # updates, in which nearly every stored transition is drawn once
MAGNITUDE = 1.5


class Sb3Dsrl:
    """DSRL, noise-aliased, from Stable-Baselines3's policy, critics and buffer."""

    def __init__(self, problem: Problem, decode, *, width: int, layers: int, batch: int, data: Transitions):
        import gymnasium
        from stable_baselines3.common.buffers import ReplayBuffer
        from stable_baselines3.common.utils import polyak_update
        from stable_baselines3.sac.policies import SACPolicy

        self._problem, self._decode, self._batch, self._polyak = problem, decode, batch, polyak_update
        self._noise_size = problem.noise_shape[0] * problem.noise_shape[1]
        observation = gymnasium.spaces.Box(-np.inf, np.inf, (problem.state_size,), np.float32)
        action = gymnasium.spaces.Box(-1.0, 1.0, (self._noise_size,), np.float32)
        arch = dict(net_arch=dict(pi=[width] * layers, qf=[width] * layers), activation_fn=nn.ReLU, n_critics=2)
        make = lambda: SACPolicy(observation, action, lambda _: 3e-4, **arch)  # noqa: E731
        self.policy, self.noise_critic = make(), make().critic
        for critic in (self.policy.critic, self.noise_critic):
            _insert_layer_norm(critic)
        self.policy.critic_target = copy.deepcopy(self.policy.critic)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        self.alpha_optimizer = torch.optim.Adam([self.log_alpha], lr=3e-4)
        self.buffer = ReplayBuffer(STORED, observation, action, device="cpu")
        for i in range(STORED):
            self.buffer.add(
                data.state[i], data.next_state[i], data.action[i], data.reward[i], data.terminated[i].astype(float), [{}]
            )
        self.updates = 0

    def update(self):
        """One step of Q^A, temperature, actor and targets; every second time one of Q^W."""
        policy, data = self.policy, self.buffer.sample(self._batch)
        unit, log_prob = policy.actor.action_log_prob(data.observations)
        alpha = self.log_alpha.exp().detach()
        alpha_loss = -(self.log_alpha * log_prob.detach()).mean()
        self.alpha_optimizer.zero_grad()
        alpha_loss.backward()
        self.alpha_optimizer.step()
        with torch.no_grad():
            next_unit, next_log_prob = policy.actor.action_log_prob(data.next_observations)
            next_action = self._act(data.next_observations, MAGNITUDE * next_unit)
            values = torch.cat(policy.critic_target(data.next_observations, next_action), dim=1)
            value = values.min(1, keepdim=True).values - alpha * next_log_prob[:, None]
            target = data.rewards + (1 - data.dones) * 0.99 * value
        loss = 0.5 * sum(F.mse_loss(q, target) for q in policy.critic(data.observations, data.actions))
        loss.item()
        _step(policy.critic.optimizer, loss)
        value = torch.cat(self.noise_critic(data.observations, unit), dim=1).min(1, keepdim=True).values
        loss = (alpha * log_prob[:, None] - value).mean()
        loss.item()
        _step(policy.actor.optimizer, loss)
        self._polyak(policy.critic.parameters(), policy.critic_target.parameters(), 0.005)
        if self.updates % 2:
            data = self.buffer.sample(self._batch)
            with torch.no_grad():
                noise = torch.randn(self._batch, self._noise_size)
                targets = policy.critic(data.observations, self._act(data.observations, noise))
            found = self.noise_critic(data.observations, noise / MAGNITUDE)
            loss = 0.5 * sum(F.mse_loss(q, target) for q, target in zip(found, targets))
            loss.item()
            _step(self.noise_critic.optimizer, loss)
        self.updates += 1

    def _act(self, state, latent):
        chunk = self._decode(state.numpy(), latent.numpy().reshape(-1, *self._problem.noise_shape))
        return torch.from_numpy(chunk.reshape(len(chunk), -1))


def _step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _insert_layer_norm(critic):
    """LayerNorm after each hidden linear layer, as the public code's policy has it, and a fresh optimiser."""
    for i, network in enumerate(critic.q_networks):
        modules = []
        for module in network:
            modules.append(module)
            if isinstance(module, nn.Linear) and module.out_features > 1:
                modules.append(nn.LayerNorm(module.out_features))
        critic.q_networks[i] = nn.Sequential(*modules)
        setattr(critic, f"qf{i}", critic.q_networks[i])
    critic.optimizer = torch.optim.Adam(critic.parameters(), lr=3e-4)


def make_learners(recipe: Recipe, wanted: list[str] | None) -> dict:
    """Name → learner with a filled replay, and a decoder whose weights are drawn. wanted: these beside the peer, or all."""
    states, width = recipe.state, recipe.width
    problem = Problem("drawn", states, recipe.action, horizons=Horizons(1, 4, 4))
    rng, decoder = np.random.default_rng(0), drawn_decoder(recipe.prior, problem.noise_shape, problem.state_size)
    full, half = partial(decode, decoder), partial(decode, halved(decoder))
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    no = np.zeros(STORED, bool)
    actions = np.tanh(draw(STORED, 4 * problem.action_size))
    data = Transitions(draw(STORED, states), actions, draw(STORED), no, no, draw(STORED, states))
    state = dict(state_shift=np.zeros(states, np.float32), state_scale=np.ones(states, np.float32))
    named = dict(prior_digest="0" * 64, seed=0, **state)
    networks = dict(critics=2, critic_width=width, critic_layers=LAYERS, actor_width=width, actor_layers=LAYERS)
    # As many rows in every gradient as the other learner has: one noise for each state.
    equal = LearnerConfig(
        **networks, batch_size=BATCH, distill_states=BATCH, distill_noises=1, distill_contrast=0.0, actor_noises=1,
        distill_base_fraction=1.0, distill_fresh=64, critic_warmup_updates=0,
    )  # fmt: skip
    halved_q = dataclasses.replace(equal, distill_share=0.5)  # as many steps of Q^W as the other learner makes
    own = LearnerConfig(**networks, critic_warmup_updates=0)
    configs = {
        "dsrl-na": (DsrlLearner, DsrlConfig(**networks, batch_size=BATCH)),
        "lpds": (Learner, equal),
        "lpds, half of Q^W": (Learner, halved_q),
        "lpds, its own rows": (Learner, own),
    }
    found = {PEER: Sb3Dsrl(problem, full, width=width, layers=LAYERS, batch=BATCH, data=data)}
    kinds = (("float32", full, False, ""), ("bfloat16", half, False, ", bfloat16"), ("bfloat16", half, True, ", compiled"))
    for precision, decoding, compiled, mark in kinds:
        for name, (kind, config) in configs.items():
            if not wanted or name + mark in wanted:
                config = dataclasses.replace(config, precision=precision, compiled=compiled)
                found[name + mark] = kind(problem, decoding, config=config, **named)
    for name, learner in found.items():
        if name != PEER:
            learner.extend(data)
    return found


def measure(learners: dict, updates: int, rounds: int) -> dict[str, list[float]]:
    """Updates per second of each learner in each round; all take their turn in every round."""
    for learner in learners.values():
        for _ in range(WARMUP):
            learner.update()
    rates = {name: [] for name in learners}
    for _ in range(rounds):
        for name, learner in learners.items():
            start = time.perf_counter()
            for _ in range(updates):
                learner.update()
            rates[name].append(updates / (time.perf_counter() - start))
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, nargs="+", default=["ours", "hopper"])
    parser.add_argument("--updates", type=int, default=50, help="of each learner in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--learners",
        nargs="+",
        help="measure these beside the Stable-Baselines3 one (default: all): dsrl-na | lpds | lpds, half of Q^W | "
        "lpds, its own rows; each alone, or followed by ', bfloat16' or ', compiled'",
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result = {"threads": args.threads} | provenance()
    for name in args.recipe:
        recipe = RECIPES[name]
        learners = make_learners(recipe, args.learners)
        if unknown := set(args.learners or ()) - set(learners):
            parser.error(f"no learner {sorted(unknown)}: see --help")
        rates = measure(learners, args.updates, args.rounds)
        base = rates[PEER]
        sizes = f"{LAYERS} x {recipe.width}, batch {BATCH}, prior {recipe.prior.width} wide in {recipe.prior.steps} steps"
        print(f"{name}: {sizes}, {args.threads} threads, {args.rounds} rounds")
        for learner, found in rates.items():
            ratios = [a / b for a, b in zip(found, base)]  # round by round: both met the same machine
            middle = statistics.median(ratios)
            spread = f"{middle:.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"  {learner:<30} {statistics.median(found):7.1f} updates/s   {spread}")
        result[name] = rates
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
