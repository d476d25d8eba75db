"""RoboMimic's tasks on robosuite, state only, as worlds. robosuite is imported when the first world is built.

Same dimensions as the published low-dimensional data sets, not the same controllers: those were made with robosuite 1.4
and older, so success rates are not comparable. Lift's cube has one size in all worlds here.
"""

import logging
import os
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from lpds_ros.bench.task import BenchError
from lpds_ros.bench.worlds import Step

INSTALL = "pip install 'lpds_ros[train,robosuite]' && pip install --no-deps robosuite==1.5.2"
RATE_HZ = 20
PROPRIOCEPTION = ("eef_pos", "eef_quat", "gripper_qpos")  # 3, 4 and 2 numbers an arm
MOST = 8  # worlds side by side: each holds a model of some 150 MB


@dataclass(frozen=True)
class Scene:
    """environment: robosuite's name. limit: steps of an episode, as published; an expert has them all."""

    environment: str
    arms: int
    observation_size: int
    limit: int

    @property
    def action_size(self) -> int:
        return 7 * self.arms


SCENES = {
    "Lift": Scene("Lift", 1, 19, 300),
    "Can": Scene("PickPlaceCan", 1, 23, 300),
    "Square": Scene("NutAssemblySquare", 1, 23, 400),
    "Transport": Scene("TwoArmTransport", 2, 59, 800),
}


def import_robosuite():
    """The module. Raises BenchError with the line that installs it where it, or something it needs, is missing."""
    if find_spec("robosuite") is None:
        raise BenchError(f"suite robomimic needs robosuite; install it with: {INSTALL}")
    os.environ.setdefault("MUJOCO_GL", "off")  # read at import; nothing is rendered here
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # its own log level is set while it is imported
    try:
        import robosuite
    except ImportError as error:
        raise BenchError(f"robosuite cannot be imported ({error}); install it anew with: {INSTALL}") from None
    finally:
        logging.disable(before)
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)  # it warns of body parts a Panda lacks, at every reset
    return robosuite


class Simulation:
    """One robosuite environment, stepped forever: who uses it counts the steps of an episode."""

    def __init__(self, scene: Scene):
        robosuite = import_robosuite()
        from lpds_ros.bench.robosuite_step import Period

        controller = robosuite.load_composite_controller_config(controller="BASIC", robot="Panda")
        self.scene, self._new_period = scene, Period
        self._env = robosuite.make(
            scene.environment,
            robots=["Panda"] * scene.arms,
            controller_configs=controller,
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            control_freq=RATE_HZ,
            horizon=scene.limit,
            ignore_done=True,
            hard_reset=False,  # a hard one builds the model anew, for a cube of another size
            seed=0,
        )
        self._names = [f"robot{arm}_{name}" for arm in range(scene.arms) for name in PROPRIOCEPTION]
        for name, observable in self._env._observables.items():
            if name.startswith("robot") and name not in self._names and observable.modality.endswith("_proprio"):
                observable.set_enabled(False)

    def reset(self, seed: int) -> np.ndarray:
        """Start an episode, float32 [d_o]; equal seeds give equal episodes, whatever came before."""
        self._env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        self._env.reset()
        self._period = self._new_period(self._env)  # a reset makes new controllers
        return self._observe()  # what reset() returns has zeros for poses relative to the hand

    def step(self, action: np.ndarray) -> tuple[np.ndarray, bool]:
        """(observation float32 [d_o], solved) after one action [d_a] in [-1, 1]."""
        self._period.run(np.clip(action, -1.0, 1.0).astype(float))
        return self._observe(), self._env.reward() > 0.0

    def close(self):
        self._env.close()

    def _observe(self) -> np.ndarray:
        observations = self._env._get_observations(force_update=True)
        parts = [observations[name] for name in self._names]
        return np.concatenate([*parts, observations["object-state"]]).astype(np.float32)


class Pool:
    """Simulations of one scene for reuse: one takes a second to build and a hundredth to reset."""

    def __init__(self, scene: Scene):
        self.scene, self._free = scene, []

    def take(self) -> Simulation:
        return self._free.pop() if self._free else Simulation(self.scene)

    def give(self, simulation: Simulation):
        self._free.append(simulation)


class RobosuiteWorlds:
    """At most MOST simulations of a pool side by side. Reward 1 and the end of the episode on success.

    limit: steps of an episode, the scene's when None.
    """

    def __init__(self, pool: Pool, count: int, *, limit: int | None = None):
        self.count, self._pool, self._limit = min(count, MOST), pool, limit or pool.scene.limit
        self._simulations = [None] * self.count
        self._age = np.zeros(self.count, int)
        self._observation = np.zeros((self.count, pool.scene.observation_size), np.float32)

    def reset(self, index: int, seed: int):
        if self._simulations[index] is None:
            self._simulations[index] = self._pool.take()
        self._observation[index] = self._simulations[index].reset(seed)
        self._age[index] = 0

    def observe(self) -> np.ndarray:
        return self._observation.copy()

    def step(self, actions: np.ndarray, live: np.ndarray) -> Step:
        success = np.zeros(self.count, bool)
        for i in np.flatnonzero(live):
            self._observation[i], success[i] = self._simulations[i].step(actions[i])
            self._age[i] += 1
        late = live & (self._age >= self._limit) & ~success
        return Step(success.astype(float), success, late, success, np.full(self.count, -1))

    def close(self):
        """Hand the simulations back to the pool."""
        for simulation in self._simulations:
            if simulation is not None:
                self._pool.give(simulation)
        self._simulations = [None] * self.count
