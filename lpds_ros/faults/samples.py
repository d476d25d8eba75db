"""Decisions and a learner without a bundle, small and quick, for faults of files and processes."""

import numpy as np
import torch

from lpds_ros.contract import Contract
from lpds_ros.faults.standin import lift
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.records import Decision, Source

PRIOR = "c" * 64
CONFIG = LearnerConfig(
    critic_width=16,
    actor_width=16,
    batch_size=16,
    distill_states=16,
    distill_pool=64,
    warmup_decisions=16,
    critic_warmup_updates=0,
    updates_per_decision=1.0,
    push_every=10,
    replay_capacity=20_000,
)


def decision(contract: Contract, number: int, *, prior_digest: str = PRIOR, **changes) -> Decision:
    """Decision `number` of a session, of random numbers that depend on it alone; changes: fields to set."""
    rng, ticks = np.random.default_rng(number), contract.horizons.executed
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    chunk = draw(*contract.noise_shape).clip(-1, 1)
    values = dict(
        session="s",
        decision_id=number,
        episode=0,
        index=0,
        stamp_ns=number,
        source=Source.PRIOR,
        weights_version=0,
        observation=draw(contract.state_size),
        noise=draw(*contract.noise_shape),
        delta=np.zeros(contract.noise_shape, np.float32),
        chunk=chunk,
        executed=chunk[:ticks],
        sent=chunk[:ticks],
        rewards=np.zeros(ticks, np.float32),
        ticks=ticks,
        tick_observations=draw(ticks, contract.observation_size),
        next_observation=draw(contract.state_size),
        terminated=False,
        truncated=False,
        contract_digest=contract.digest,
        prior_digest=prior_digest,
    )
    return Decision(**(values | changes))


def decisions(count: int, first: int = 0, session: str = "campaign") -> list[Decision]:
    """Decisions number `first` and following of one session, in episodes of eight."""
    contract = lift()
    return [
        decision(contract, n, session=session, episode=n // 8, index=n % 8, stamp_ns=1_000_000_000 + n)
        for n in range(first, first + count)
    ]


def learner(seed: int = 0) -> Learner:
    """A small learner of these decisions; its decoder is tanh. One thread: processes are forked with it."""
    torch.set_num_threads(1)
    contract = lift()
    return Learner(
        contract,
        lambda state, noise: np.tanh(noise),
        prior_digest=PRIOR,
        state_shift=np.zeros(contract.state_size, np.float32),
        state_scale=np.ones(contract.state_size, np.float32),
        config=CONFIG,
        seed=seed,
    )
