"""Learners whose losses and gradients are compiled: the same steps as without, and what is said where that cannot be."""

import dataclasses

import numpy as np
import pytest
import torch

from lpds_ros.bench.dsrl import DsrlConfig, DsrlLearner
from lpds_ros.config import ConfigError
from lpds_ros.contract import Horizons
from lpds_ros.learning import compiled
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.replay import Transitions
from lpds_ros.problem import Problem

PROBLEM = Problem("plane", 3, 2, horizons=Horizons(1, 4, 2))
SMALL = dict(critic_width=32, actor_width=32, batch_size=32, warmup_decisions=10, critic_warmup_updates=0)
# A residual beyond a small budget: the dual moves, and the bound is met.
LPDS = LearnerConfig(**SMALL, delta=1e-5, alpha_learning_rate=1e-2, actor_learning_rate=1e-2, actor_target="gain")
ROWS, UPDATES = 200, 12
torch.set_num_threads(1)


def make(kind, config):
    learner = kind(
        PROBLEM, lambda state, noise: np.tanh(noise), config=config, prior_digest="p" * 64,
        state_shift=np.zeros(3, np.float32), state_scale=np.ones(3, np.float32), seed=0,
    )  # fmt: skip
    rng, no = np.random.default_rng(1), np.zeros(ROWS, bool)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    learner.extend(Transitions(draw(ROWS, 3), np.tanh(draw(ROWS, 4)), draw(ROWS), no, no, draw(ROWS, 3)))
    return learner


@pytest.mark.parametrize(
    "kind, config, error",
    [
        (Learner, LPDS, 1e-3),
        (Learner, dataclasses.replace(LPDS, precision="bfloat16", actor_target="min"), 3e-2),  # roundings in another order
        (DsrlLearner, DsrlConfig(**SMALL), 1e-3),
    ],
)
def test_the_steps_are_those_of_the_learner_that_is_not_compiled(kind, config, error):
    eager, fused = make(kind, config), make(kind, dataclasses.replace(config, compiled=True))
    first = [p.detach().clone() for p in fused.actor.parameters()]
    for _ in range(UPDATES):
        expected, found = eager.update(), fused.update()
        assert found == pytest.approx(expected, rel=error, abs=error / 10)
    assert not fused.frozen and fused.alpha == pytest.approx(eager.alpha, rel=error) and fused.alpha != config.alpha_init
    for name in kind.NETWORKS:
        for one, other in zip(getattr(eager, name).parameters(), getattr(fused, name).parameters()):
            assert torch.allclose(one, other, atol=error / 2)
    assert max((a - b).abs().max() for a, b in zip(first, fused.actor.parameters())) > 2 * error  # it has learned


def test_a_loss_that_is_not_finite_takes_no_step():
    learner = make(DsrlLearner, DsrlConfig(**SMALL, compiled=True))
    learner.alpha = float("nan")
    before = [p.detach().clone() for p in learner.critic.parameters()]
    learner.update()
    assert "critic's loss is nan" in learner.frozen
    assert all(torch.equal(a, b) for a, b in zip(before, learner.critic.parameters()))


def test_what_is_missing_is_said_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="C\\+\\+ compiler"):
        make(Learner, dataclasses.replace(LPDS, compiled=True))
    monkeypatch.setattr(compiled.torch, "__version__", "2.9.1")
    with pytest.raises(ConfigError, match="needs torch 2.13, this is 2.9.1"):
        make(Learner, dataclasses.replace(LPDS, compiled=True))
