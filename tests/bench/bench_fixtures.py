"""A task small enough for tests: the four-goal toy with a prior trained for a moment."""

import dataclasses

from lpds_ros.bench.suites import toy
from lpds_ros.bench.task import Task

PRIOR = dataclasses.replace(
    toy.tasks()[0].prior, width=16, blocks=1, updates=60, batch=64, checkpoint_every=60, evaluate_every=60, warmup_updates=5
)


def small_task(**changes) -> Task:
    """The toy with tiny networks, few episodes and a budget of some hundred steps."""
    learner = {
        "gamma": 0.95,
        "critic_width": 8,
        "actor_width": 8,
        "critic_layers": 1,
        "actor_layers": 1,
        "batch_size": 8,
        "warmup_decisions": 40,
        "critic_warmup_updates": 0,
        "updates_per_decision": 0.25,
        "rollout_decisions": 40,
        "epochs": 4,
        "minibatches": 2,
    }
    values = dict(prior=PRIOR, budget=600, learner=learner, envs=4, curve_points=3, curve_episodes=4, final_episodes=6)
    return dataclasses.replace(toy.tasks()[0], **(values | changes))
