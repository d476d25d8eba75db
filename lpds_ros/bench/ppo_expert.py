"""Proximal Policy Optimization (Schulman et al. 2017) by Stable-Baselines3, where a linear expert does not get to walk.

Training keeps snapshots on its way: policies of several strengths, as plain arrays. It starts anew when it was interrupted
(some ten minutes), and takes what lies in the folder when it was not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpds_ros.bench.task import BenchError
from lpds_ros.durable import write_arrays

FILE = "ppo.npz"
CLIP = 10.0  # of normalised observations, as in Stable-Baselines3
JUDGED = 3  # episodes for the return of a snapshot


@dataclass(frozen=True)
class PpoConfig:
    """steps: of all environments together. The further values are Stable-Baselines3's names."""

    environment: str
    steps: int = 1_500_000
    snapshot_every: int = 100_000
    environments: int = 8
    n_steps: int = 512
    batch_size: int = 256
    n_epochs: int = 8
    width: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Snapshot:
    """value: mean return. shift, scale [d_o]: normalisation; layers: (weight [out, in], bias [out]) of a tanh network."""

    value: float
    shift: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The mean action [d_a], in the environment's bounds of ±1."""
        hidden = np.clip((observation - self.shift) / self.scale, -CLIP, CLIP)
        for weight, bias in self.layers[:-1]:
            hidden = np.tanh(weight @ hidden + bias)
        weight, bias = self.layers[-1]
        return np.clip(weight @ hidden + bias, -1.0, 1.0)


def snapshots(
    config: PpoConfig,
    folder: Path,
    *,
    on_snapshot: Callable[[int, Snapshot], None] = lambda steps, snapshot: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Snapshot] | None:
    """The snapshots in `folder`, trained first where there are none; None when stopped before the end."""
    path = folder / FILE
    if path.exists():
        return load(path)
    found = train(config, on_snapshot, should_stop)
    if found is not None:
        save(path, found)
    return found


def train(config: PpoConfig, on_snapshot, should_stop) -> list[Snapshot] | None:
    """Train from random weights. Raises BenchError where Stable-Baselines3 is not installed."""
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import VecNormalize
    except ImportError:
        raise BenchError(
            f"{config.environment}: its expert needs Stable-Baselines3; pip install 'lpds_ros[bench,peers]'"
        ) from None
    import torch

    found: list[Snapshot] = []

    class Keep(BaseCallback):
        """Takes the snapshots, and ends the training when asked to."""

        def _on_step(self) -> bool:
            if self.num_timesteps >= config.snapshot_every * (len(found) + 1):
                found.append(judged(config.environment, snapshot_of(self.model)))
                on_snapshot(self.num_timesteps, found[-1])
            return not should_stop()

    torch.manual_seed(config.seed)
    worlds = VecNormalize(make_vec_env(config.environment, config.environments, seed=config.seed))
    network = dict(log_std_init=-1.0, ortho_init=False, net_arch=[config.width, config.width])
    sizes = dict(n_steps=config.n_steps, batch_size=config.batch_size, n_epochs=config.n_epochs)
    model = PPO("MlpPolicy", worlds, seed=config.seed, policy_kwargs=network, device="cpu", **sizes)
    model.learn(config.steps, callback=Keep())
    worlds.close()
    return None if should_stop() else found


def snapshot_of(model) -> Snapshot:
    """The policy of a Stable-Baselines3 PPO as arrays; its return is not known yet."""
    normal, policy = model.get_vec_normalize_env(), model.policy
    linear = [layer for layer in policy.mlp_extractor.policy_net if hasattr(layer, "weight")] + [policy.action_net]
    layers = tuple((layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in linear)
    return Snapshot(np.nan, normal.obs_rms.mean.copy(), np.sqrt(normal.obs_rms.var + normal.epsilon), layers)


def judged(environment: str, policy: Snapshot) -> Snapshot:
    """The same policy with its mean return."""
    import gymnasium

    env, returns = gymnasium.make(environment), []
    for seed in range(JUDGED):
        observation, over, total = env.reset(seed=10_000 + seed)[0], False, 0.0
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation).astype(np.float32))
            total, over = total + reward, terminated or truncated
        returns.append(total)
    env.close()
    return Snapshot(float(np.mean(returns)), policy.shift, policy.scale, policy.layers)


def save(path: Path, found: list[Snapshot]):
    """Write all snapshots as one .npz."""
    arrays = {"values": np.array([one.value for one in found])}
    for i, one in enumerate(found):
        arrays |= {f"{i}.shift": one.shift, f"{i}.scale": one.scale}
        for j, (weight, bias) in enumerate(one.layers):
            arrays |= {f"{i}.weight.{j}": weight, f"{i}.bias.{j}": bias}
    write_arrays(path, arrays)


def load(path: Path) -> list[Snapshot]:
    """What `save` wrote. Never unpickles."""
    with np.load(path, allow_pickle=False) as a:
        depth = sum(name.startswith("0.weight.") for name in a.files)
        return [
            Snapshot(
                float(value),
                a[f"{i}.shift"],
                a[f"{i}.scale"],
                tuple((a[f"{i}.weight.{j}"], a[f"{i}.bias.{j}"]) for j in range(depth)),
            )
            for i, value in enumerate(a["values"])
        ]
