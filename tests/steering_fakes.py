"""A contract, a decoder and observations for tests of the steering core, without ROS, files or a simulation."""

from dataclasses import replace

import numpy as np
from observed import observation_row

from lpds_ros.contract import Action, Contract, Horizons, Reward, load_contract
from lpds_ros.records import Observation, OperatorInput
from lpds_ros.resources import resource
from lpds_ros.robot.limits import load_limits
from lpds_ros.steering.core import SteeringCore, SteeringParams
from lpds_ros.weights import ActorParameters

START = np.array([0.5, 0.0, 0.3])
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
READY = np.array(load_limits("fr3").ready_rad)
SECOND = 1_000_000_000


def lift(*, observed=1, predicted=8, executed=8, reward="task_state", turns=False, **changes) -> Contract:
    """The lift contract with other horizons, reward source or rotation."""
    contract = load_contract(resource("config/contracts/lift.yaml"))
    if turns:
        changes["action"] = Action("delta_pose", "base", 0.0125, "rotation_vector", 0.03)
    return replace(contract, horizons=Horizons(observed, predicted, executed), reward=Reward(reward), **changes)


class FakeDecoder:
    """Bounded rows that depend on state and noise. `poison`: called with the chunk, may spoil it."""

    bundle = None

    def __init__(self, poison=lambda rows: rows):
        self.poison, self.calls = poison, 0

    def decode(self, state, noise):
        self.calls += 1
        return self.poison(np.tanh(0.4 * noise + 0.01 * state.sum(1)[:, None, None]).astype(np.float32))


def random_actor(
    contract: Contract, version=1, radius=1.0, seed=0, scale=1.0, context="state_noise"
) -> ActorParameters:
    """A two-layer actor with random weights."""
    rng = np.random.default_rng(seed)
    out = contract.noise_shape[0] * contract.noise_shape[1]
    size = contract.state_size + (out if context == "state_noise" else 0)

    def layer(rows, columns):
        weight = scale * rng.normal(0, 1 / np.sqrt(columns), (rows, columns))
        return weight.astype(np.float32), rng.normal(0, 0.1, rows).astype(np.float32)

    return ActorParameters(
        version=version,
        updates=0,
        contract_digest=contract.digest,
        prior_digest="",
        radius=radius,
        context=context,
        state_shift=rng.normal(size=contract.state_size).astype(np.float32),
        state_scale=rng.uniform(0.5, 2.0, contract.state_size).astype(np.float32),
        layers=(layer(32, size), layer(32, 32), layer(out, 32)),
    )


class Cell:
    """A core and a perfect arm: the measured pose is the last target. `step` runs one tick."""

    def __init__(self, contract=None, decoder="fake", params=None, seed=3, begin=True):
        self.contract = contract or lift()
        self.decoder = FakeDecoder() if decoder == "fake" else decoder
        self.core = SteeringCore(self.contract, params or SteeringParams(), self.decoder, seed=seed, session="session")
        self.now_ns = SECOND
        self.position, self.orientation, self.joints = START.copy(), DOWN.copy(), READY
        self.decisions, self.episodes, self.ticks = [], [], []
        if begin:
            self.core.begin_episode(0, 7)

    def observation(
        self, *, valid=True, reason="stream 'object' is 0.31 s old", reward=0.0, success=False, ages_s=None, **robot
    ) -> Observation:
        data = observation_row(self.contract, self.position, [0.5, 0.1, 0.02]).astype(np.float32)
        return Observation(
            stamp_ns=self.now_ns,
            valid=valid,
            reason="" if valid else reason,
            data=data if valid else np.full_like(data, np.nan),
            ages_s=ages_s or {},
            position=self.position,
            orientation=self.orientation,
            joints=self.joints,
            gripper_width=0.08,
            reward=reward,
            success=success,
            **robot,
        )

    def operator(self, action=(0.0, 0.0, 0.0, 0.0), active=True, **fields) -> OperatorInput:
        return OperatorInput(self.now_ns, active, np.array(action, np.float32), **fields)

    def step(self, operator=None, **observed):
        tick = self.core.tick(self.observation(**observed), operator)
        assert not self.core.failure, self.core.failure
        self.ticks.append(tick)
        self.decisions += [tick.decision] if tick.decision else []
        self.episodes += [tick.episode] if tick.episode else []
        if tick.targets:
            self.position, self.orientation = tick.targets[-1].position, tick.targets[-1].orientation
        self.now_ns += self.contract.period_ns
        return tick

    def steps(self, count, **observed):
        return [self.step(**observed) for _ in range(count)]
