"""The methods that are compared, all on one frozen prior: what each does with the noise, and its hyperparameters.

A method is named `lpds`, or with fields of its configuration set, `lpds:delta=0.1,critics=5`: that is how a sweep is run.
"""

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lpds_ros.bench.dppo import DppoConfig, DppoLearner
from lpds_ros.bench.dsrl import DsrlConfig, DsrlLearner
from lpds_ros.bench.priors import Prior, transitions_of
from lpds_ros.bench.residual import ActionResidualLearner
from lpds_ros.bench.task import BenchError, Task
from lpds_ros.config import ConfigError, build, nearest, read_value
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.replay import Transitions

# Each name: the kind of method, what it is, and the fields that make it this one.
METHODS: dict[str, tuple[str, str, dict]] = {
    "prior": ("prior", "the frozen prior", {}),
    "prior-quiet": ("prior", "the frozen prior with the noise set to zero: its likeliest chunk", {"noise_scale": 0.0}),
    "lpds": ("lpds", "LP-DS", {}),
    "lpds-no-lagrangian": ("lpds", "LP-DS without the Lagrangian: the hard bound alone", {"lagrangian": False}),
    "lpds-no-bound": ("lpds", "LP-DS without the hard bound", {"bound_factor": 0.0}),
    "lpds-free": ("lpds", "neither Lagrangian nor bound", {"lagrangian": False, "bound_factor": 0.0}),
    "lpds-shift": ("lpds", "a mean shift Δ(s) that does not see the noise", {"context": "state"}),
    "lpds-base": ("lpds", "Q^W distilled on base noise alone, as in the paper", {"distill_base_fraction": 1.0}),
    "lpds-gain": ("lpds", "LP-DS climbing the gain that five critics agree on", {"actor_target": "gain", "critics": 5}),
    "lpds-quiet": ("lpds", "LP-DS on base noise of half the spread", {"noise_scale": 0.5}),
    "lpds-demos": ("lpds", "a quarter of each batch from the demonstrations", {"demo_share": 0.25}),
    "residual": ("residual", "the residual in action space", {}),
    "dsrl-na": ("dsrl", "DSRL, noise-aliased, as published", {"n_step": 1}),
    "dsrl-na-hard": ("dsrl", "DSRL, noise-aliased, hard backup, α from 0.02 rewards", {"soft_backup": False, "alpha_init": 0.02}),
    "dsrl-sac": ("dsrl", "DSRL, SAC in noise space", {"variant": "sac", "n_step": 1}),
    "dppo": ("dppo", "DPPO: PPO on a copy of the prior's weights", {}),
}


@dataclass(frozen=True)
class Choice:
    """What a method does in N states. latent, chunk: float32 [N, T_p, d_a]; the chunk is what will be executed.

    moved: float [N], mean over its dimensions of Δ² (w − ε, or of the action residual); NaN where there is no residual.
    """

    latent: np.ndarray
    chunk: np.ndarray
    moved: np.ndarray


class Method(Protocol):
    """One way of choosing actions with a frozen prior. `learner` is None where nothing is learned."""

    learner: Learner | DsrlLearner | DppoLearner | None

    def choose(self, state: np.ndarray, noise: np.ndarray) -> Choice:
        """state float32 [N, d_o], noise: base noise ε [N, T_p, d_a], the only source of chance."""

    def explore(self, state: np.ndarray, noise: np.ndarray) -> Choice:
        """The same while learning: what the replay is filled with."""

    def keep(self, state, choice: Choice, reward, terminated, truncated, next_state):
        """Hand a batch of decisions to the learner."""


class Frozen:
    """The prior: w = ε, its spread times `noise_scale`."""

    learner = None

    def __init__(self, prior: Prior, noise_scale: float = 1.0):
        self._prior, self._noise_scale = prior, np.float32(noise_scale)

    def choose(self, state, noise) -> Choice:
        noise = self._noise_scale * noise
        return Choice(noise, self._prior.decode(state, noise), np.full(len(state), np.nan))

    explore = choose

    def keep(self, *_):
        """Nothing is learned."""


class Steered:
    """LP-DS: w = ε + Δ_θ(s, ε), the spread of ε times the configuration's noise_scale, the published (averaged) actor; with
    `residual` a = clip(Φ(s, ε) + Δ_θ(s, ε)).
    """

    def __init__(self, prior: Prior, learner: Learner, *, residual: bool = False):
        self.learner, self._prior, self._residual = learner, prior, residual

    def choose(self, state, noise) -> Choice:
        noise = np.float32(self.learner.config.noise_scale) * noise
        delta = self.learner.perturb(state, noise)
        moved = np.square(delta).mean((1, 2))
        if self._residual:
            chunk = self._prior.decode(state, noise) + delta
            return Choice(noise, np.clip(chunk, self._prior.action_low, self._prior.action_high), moved)
        return Choice(noise + delta, self._prior.decode(state, noise + delta), moved)

    def explore(self, state, noise) -> Choice:
        """Until the learner is warm the prior explores, with all of its noise."""
        if self.learner.warm:
            return self.choose(state, noise)
        return Choice(noise, self._prior.decode(state, noise), np.zeros(len(state)))

    def keep(self, state, choice, reward, terminated, truncated, next_state):
        action = choice.chunk[:, : self._prior.task.problem.horizons.executed].reshape(len(state), -1)
        self.learner.extend(Transitions(state, action, reward, terminated, truncated, next_state))


class Dsrl:
    """DSRL: w ~ π(w | s), drawn with ε; the warm-up is the prior's."""

    def __init__(self, prior: Prior, learner: DsrlLearner):
        self.learner, self._prior = learner, prior

    def choose(self, state, noise) -> Choice:
        latent = self.learner.choose(state, noise)
        return Choice(latent, self._prior.decode(state, latent), np.full(len(state), np.nan))

    def explore(self, state, noise) -> Choice:
        if self.learner.warm:
            return self.choose(state, noise)
        if not self.learner.aliased:  # its critic can only be asked about noises the policy can give
            limit = self.learner.config.action_magnitude
            noise = np.clip(noise, -limit, limit)
        return Choice(noise, self._prior.decode(state, noise), np.full(len(state), np.nan))

    def keep(self, state, choice, reward, terminated, truncated, next_state):
        executed = self._prior.task.problem.horizons.executed
        action = choice.chunk[:, :executed] if self.learner.aliased else choice.latent
        action = action.reshape(len(state), -1)
        self.learner.extend(Transitions(state, action, reward, terminated, truncated, next_state))


@dataclass(frozen=True)
class Denoised(Choice):
    """chain: float32 [N, (K'+1)·T_p·d_a], the denoising steps that the chunk came from."""

    chain: np.ndarray


class Dppo:
    """DPPO: the chunk comes from tuned weights, w = ε.

    `choose` is DDIM with η = 0 from the noise given, as the public code evaluates: no other source of chance, the same
    draws as every method's, and before the first update the prior bit for bit. `explore` draws every denoising step.
    """

    def __init__(self, learner: DppoLearner):
        self.learner = learner

    def choose(self, state, noise) -> Choice:
        return Choice(noise, self.learner.decode(state, noise), np.full(len(state), np.nan))

    def explore(self, state, noise) -> Denoised:
        chunk, chain = self.learner.sample(state, noise)
        return Denoised(noise, chunk, np.full(len(state), np.nan), chain)

    def keep(self, state, choice: Denoised, reward, terminated, truncated, next_state):
        self.learner.extend(Transitions(state, choice.chain, reward, terminated, truncated, next_state))


# Of every learning method here. A machine without bfloat16 products asks for `lpds:precision=float32`.
SHARED = {"precision": "bfloat16"}
CONFIGS = {"lpds": LearnerConfig, "residual": LearnerConfig, "dsrl": DsrlConfig, "dppo": DppoConfig}


def parse_method(text: str) -> tuple[str, dict[str, str]]:
    """("lpds", {"delta": "0.1"}) of "lpds:delta=0.1". Raises BenchError that names the nearest method."""
    name, _, rest = text.partition(":")
    if name not in METHODS:
        raise BenchError(f"no method '{name}'{nearest(name, METHODS)}")
    pairs = [item.partition("=") for item in rest.split(",") if item]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise BenchError(f"method '{text}': expected field=value after the colon, comma between two")
    return name, {key: value for key, _, value in pairs}


def configure(text: str, task: Task):
    """The configuration of a method: the values shared by all on the task, then the method's own, then those in its name.

    None for the prior. DSRL's temperature is in the unit of the rewards, and scaled with them. Raises BenchError for an
    unknown field or an ill-typed value.
    """
    name, given = parse_method(text)
    kind, _, own = METHODS[name]
    if kind not in CONFIGS:
        if given:
            raise BenchError(f"method '{text}': the prior has no hyperparameters")
        return None
    cls = CONFIGS[kind]
    fields = {field.name for field in dataclasses.fields(cls)}
    values = {key: value for key, value in (SHARED | task.learner).items() if key in fields} | own
    if kind == "dsrl":
        values["alpha_init"] = task.reward_scale * values.get("alpha_init", cls().alpha_init)
    try:
        return build(cls, values | {key: read_value(value) for key, value in given.items()}, f"method '{text}'")
    except ConfigError as error:
        raise BenchError(str(error)) from None


def make_method(text: str, prior: Prior, config, seed: int) -> Method:
    """The method named `text` with the configuration of `configure`, fresh, with random weights of `seed`."""
    kind, _, own = METHODS[parse_method(text)[0]]
    if kind == "prior":
        return Frozen(prior, **own)
    if kind == "dppo":
        return _make_dppo(text, prior, config, seed)
    arguments = dict(
        prior_digest=prior.digest, state_shift=prior.state_shift, state_scale=prior.state_scale, config=config, seed=seed
    )
    problem, decode = prior.task.problem, prior.decode_half if config.precision == "bfloat16" else prior.decode
    if kind == "dsrl":
        return Dsrl(prior, DsrlLearner(problem, decode, **arguments))
    if kind == "residual":
        bounds = np.stack([prior.action_low, prior.action_high])
        learner = ActionResidualLearner(problem, decode, bounds=bounds, **arguments)
    else:
        learner = Learner(problem, decode, **arguments)
    if config.demo_share > 0:
        learner.add_demonstrations(transitions_of(prior.demonstrations, prior.task))
    return Steered(prior, learner, residual=kind == "residual")


def _make_dppo(text: str, prior: Prior, config: DppoConfig, seed: int) -> Dppo:
    if prior.config.kind != "diffusion":
        raise BenchError(f"method '{text}' needs a diffusion prior, this one is of kind '{prior.config.kind}'; leave it out")
    task = prior.task
    named = dict(prior_digest=prior.digest, envs=task.envs, config=config, seed=seed)
    try:
        return Dppo(DppoLearner(task.problem, prior.decoder, prior.config, **named))
    except ValueError as error:
        raise BenchError(f"method '{text}': {error}") from None
