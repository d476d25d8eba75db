"""Experts for the four Adroit tasks: what MPPI minimises in pen and relocate, the others' scripts, how an episode is recorded.

Costs are sums of distances in metres and of shares still to do, weighted by hand so that each stage outweighs the one before.
The environments' own dense rewards serve no planner: their first term pays for distance from handle, hammer and ball.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import mujoco
import numpy as np

from lpds_ros.bench.mppi import Mppi, MppiConfig
from lpds_ros.bench.suites import adroit_door, adroit_hammer
from lpds_ros.bench.suites.adroit import make_env
from lpds_ros.bench.suites.adroit_operator import Operator, Traits
from lpds_ros.data.demonstration import Demonstration

Read = Callable[[mujoco.MjData], float]
# state → (the action to record, the action to execute)
Act = Callable[[mujoco.MjData], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Planned:
    """cost: of a model, the cost of its states. lost: of a model, whether a state is beyond repair (the episode has failed).

    version: to be raised with every change of cost or lost, so that episodes of two experts do not mix in one set.
    """

    cost: Callable[[mujoco.MjModel], Read]
    mppi: MppiConfig
    lost: Callable[[mujoco.MjModel], Callable[[mujoco.MjData], bool]] = lambda model: lambda data: False
    version: int = 1
    source = "mppi"

    @property
    def identity(self) -> dict:
        """All that decides an episode beside its seed, as plain JSON."""
        return {"mppi": asdict(self.mppi), "cost": self.version}

    def start(self, inner, seed: int) -> Act:
        """Acts in one episode. inner: the unwrapped environment, reset."""
        planner = Mppi(
            inner.model,
            self.cost(inner.model),
            self.mppi,
            steps_per_action=inner.frame_skip,
            middle=inner.act_mean,
            half=inner.act_rng,
            seed=seed,
        )

        def act(data):
            action = planner.act(data).astype(np.float32)
            return action, action

        return act


@dataclass(frozen=True)
class Scripted:
    """operator: the task's script. version: to be raised with every change of it, as `Planned`'s."""

    operator: type[Operator]
    traits: Traits = field(default_factory=Traits)
    version: int = 1
    source = "scripted"

    @property
    def identity(self) -> dict:
        """As `Planned`'s."""
        return {"traits": asdict(self.traits), "script": self.version}

    def start(self, inner, seed: int) -> Act:
        """As `Planned`'s."""
        return self.operator(inner, self.traits, np.random.default_rng([seed, 1])).act

    def lost(self, model: mujoco.MjModel) -> Callable[[mujoco.MjData], bool]:
        """No state is beyond repair."""
        return lambda data: False


def pen(model: mujoco.MjModel) -> Read:
    """Turn the pen in the hand as the target shows: 1 − cosine between them, and the distance from the palm."""
    body, palm = model.body("Object").id, model.site("eps_ball").id
    top, bottom, goal_top, goal_bottom = _sites(model, "object_top", "object_bottom", "target_top", "target_bottom")

    def cost(data):
        sites = data.site_xpos
        along, goal = sites[top] - sites[bottom], sites[goal_top] - sites[goal_bottom]
        cosine = float(along @ goal) / math.sqrt(float(along @ along) * float(goal @ goal))
        away = math.dist(data.xpos[body], sites[palm])
        return 2.0 * (1.0 - cosine) + 10.0 * away + 5.0 * (away > 0.12)

    return cost


def pen_lost(model: mujoco.MjModel) -> Callable[[mujoco.MjData], bool]:
    """The pen has fallen off the hand."""
    body = model.body("Object").id
    return lambda data: bool(data.xpos[body, 2] < 0.1)


def relocate(model: mujoco.MjModel) -> Read:
    """Palm to the ball, ball off the table, ball to the target."""
    body = model.body("Object").id
    palm, target = _sites(model, "S_grasp", "target")

    def cost(data):
        ball = data.xpos[body]
        lift = min(max(ball[2] - 0.035, 0.0), 0.1)
        return 2.0 * math.dist(data.site_xpos[palm], ball) + 3.0 * math.dist(ball, data.site_xpos[target]) - 3.0 * lift

    return cost


SETTINGS = MppiConfig(samples=40, horizon=20, noise=0.3, smoothness=0.8, temperature=0.1)
EXPERTS = {
    # the first steps decide whether the pen is caught
    "pen": Planned(pen, replace(SETTINGS, samples=48, horizon=24, noise=0.4, warm_plans=4), pen_lost),
    "door": Scripted(adroit_door.Operator),
    "relocate": Planned(relocate, SETTINGS),
    "hammer": Scripted(adroit_hammer.Operator, Traits(pace=(0.1, 1.0))),
}


def record(
    environment: str, name: str, seed: int, should_stop: Callable[[], bool] = lambda: False
) -> Demonstration | None:
    """One episode of the expert, until success, its loss or the time limit; None when stopped before.

    Equal seeds give equal episodes on one version of MuJoCo.
    """
    env, expert = make_env(environment), EXPERTS[name]
    inner = env.unwrapped
    observation, _ = env.reset(seed=seed)
    act = expert.start(inner, seed)
    lost, success, over, observations, actions, rewards = expert.lost(inner.model), False, False, [], [], []
    try:
        while not over:
            if should_stop():
                return None
            intended, executed = act(inner.data)
            observations.append(observation)
            actions.append(intended)
            observation, reward, _, truncated, info = env.step(executed)
            rewards.append(reward)
            success = bool(info["success"])
            over = success or truncated or lost(inner.data)
    finally:
        env.close()
    return Demonstration(
        np.array(observations), np.array(actions), np.array(rewards), success, seed, expert.source, final_observation=observation
    )


def _sites(model: mujoco.MjModel, *names: str) -> list[int]:
    return [model.site(name).id for name in names]
