"""The frozen prior of a task: trained once by the project's own training, kept on disk, decoded in torch."""

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lpds_ros.bench.demonstrations import folder_of
from lpds_ros.bench.task import BenchError, Task
from lpds_ros.data.demonstration import Demonstration, digest_demos
from lpds_ros.learning.replay import Transitions
from lpds_ros.lease import Lease, LeaseError
from lpds_ros.prior.checkpoint import Checkpoint, load_checkpoint
from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.sampler import Decoder
from lpds_ros.prior.train import make_decoder, train


@dataclass(frozen=True)
class Prior:
    """Φ with what learners need to know about it. action_low, action_high: float32 [d_a], bounds of every decoded row.

    decode: (state float32 [B, d_o], noise float32 [B, T_p, d_a]) → chunk float32 [B, T_p, d_a]. decode_half: the same with
    the network's blocks in bfloat16, for learners that train in it; what is executed comes from `decode`. decoder: the torch
    module behind them, for methods that train a copy of its weights.
    """

    task: Task
    digest: str
    decoder: Decoder
    decode: Callable[[np.ndarray, np.ndarray], np.ndarray]
    decode_half: Callable[[np.ndarray, np.ndarray], np.ndarray]
    state_shift: np.ndarray
    state_scale: np.ndarray
    action_low: np.ndarray
    action_high: np.ndarray
    config: PriorConfig
    demonstrations: tuple[Demonstration, ...]


def load_prior(
    task: Task, root: Path, *, config: PriorConfig | None = None, progress: bool = False, should_stop=lambda: False
) -> Prior:
    """The prior of `task` under `root`/priors, trained there first where there is none. config: in place of the task's.

    An interrupted training goes on where it was. Raises BenchError when demonstrations are missing, or changed since, and
    KeyboardInterrupt when `should_stop` ended the training.
    """
    config = config or task.prior
    demonstrations = task.demonstrations(folder_of(root, task.suite, task.name))
    identity = json.dumps([digest_demos(demonstrations), config.identity(), task.problem.digest])
    folder = root / "priors" / f"{task.suite}-{task.name}-{config.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    checkpoint = _trained(folder, config)
    if checkpoint is None:
        try:
            lease = Lease(folder.with_name(folder.name + ".lock"), {"trains": folder.name})
        except LeaseError as error:
            raise BenchError(f"{error}: another process trains this prior; start again when it is done") from None
        with lease:
            resume = (folder / "checkpoint.json").exists()
            if _trained(folder, config) is None:
                train(
                    demonstrations, task.problem, folder, config, resume=resume, progress=progress, should_stop=should_stop
                )
        checkpoint = _trained(folder, config)
        if checkpoint is None:
            raise KeyboardInterrupt
    decoder = make_decoder(checkpoint)
    return Prior(
        task=task,
        digest=digest_of(decoder),
        decoder=decoder,
        decode=partial(decode, decoder),
        decode_half=partial(decode, halved(decoder)),
        config=config,
        demonstrations=tuple(demonstrations),
        **{
            name: getattr(decoder, name).numpy() for name in ("state_shift", "state_scale", "action_low", "action_high")
        },
    )


def decode(decoder: torch.nn.Module, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Φ(state, noise) of a torch decoder, numpy in and out."""
    with torch.no_grad():
        return decoder(torch.from_numpy(state), torch.from_numpy(noise)).numpy()


def halved(decoder: torch.nn.Module) -> torch.nn.Module:
    """A copy whose denoiser's blocks hold bfloat16 weights; the residual stream and the sampler stay float32."""
    half = copy.deepcopy(decoder)
    half.network.blocks.bfloat16()
    return half


def _trained(folder: Path, config: PriorConfig) -> Checkpoint | None:
    """The checkpoint in `folder` once its training is complete."""
    if not (folder / "checkpoint.json").exists():
        return None
    checkpoint = load_checkpoint(folder)
    return checkpoint if checkpoint.update >= config.updates else None


def digest_of(decoder: torch.nn.Module) -> str:
    """SHA-256 over the decoder's tensors by name: the prior's identity in checkpoints and result rows."""
    sha = hashlib.sha256()
    for name, tensor in sorted(decoder.state_dict().items()):
        sha.update(name.encode() + tensor.numpy().tobytes())
    return sha.hexdigest()


def transitions_of(demonstrations, task: Task) -> Transitions:
    """The demonstrations as decisions of T_a steps, for a learner's replay; rewards scaled as the task's are."""
    executed, parts = task.problem.horizons.executed, []
    for demo in demonstrations:
        states = np.concatenate([demo.observations, demo.final_observation[None]])
        for start in range(0, len(demo), executed):
            stop = min(start + executed, len(demo))
            rows = demo.actions[np.minimum(np.arange(start, start + executed), len(demo) - 1)]
            last = stop == len(demo)
            # where returns are measured an episode ends before its limit only by a fall
            ends = demo.success if task.measure == "success" else len(demo) < task.limit
            reward = task.reward_scale * float(demo.rewards[start:stop].sum())
            parts.append((states[start], rows.ravel(), reward, last and ends, last and not ends, states[stop]))
    state, action, reward, terminated, truncated, next_state = map(np.array, zip(*parts))
    return Transitions(state, action, reward, terminated, truncated, next_state)
