"""Checkpoint of a learner: networks, optimisers, dual, random state, counters. The replay is rebuilt from the rollout log, and
the next actions kept with it are decoded anew.

Written to a temporary directory, synced, renamed. Never pickle.
"""

import json
import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lpds_ros.durable import replaced_folder, surviving
from lpds_ros.learning.lpds import Learner


class CheckpointError(ValueError):
    """A checkpoint that does not belong to this learner, or is incomplete."""


def save_checkpoint(learner: Learner, directory: str | Path):
    """Write `directory` so that at any moment either the old or the new checkpoint is whole."""
    tensors = {f"{n}.{k}": v.contiguous() for n in learner.NETWORKS for k, v in getattr(learner, n).state_dict().items()}
    for name, optimizer in learner.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{name}.{index}.{k}": v.contiguous() for k, v in state.items()}
    state = {
        "contract_digest": learner.contract.digest,
        "prior_digest": learner.prior_digest,
        "updates": learner.updates,
        "version": learner.version,
        "alpha": learner.alpha,
        "lineage": learner.lineage,
        "replay_total": learner.replay.total,
        "rng": learner.rng.bit_generator.state,
    }
    with replaced_folder(Path(directory)) as fresh:
        save_file(tensors, fresh / "learner.safetensors")
        (fresh / "state.json").write_text(json.dumps(state))


def load_checkpoint(learner: Learner, directory: str | Path) -> bool:
    """Restore `learner` in place. False when there is none; CheckpointError when it belongs to another prior or contract."""
    directory = surviving(Path(directory))
    if not (directory / "state.json").exists():
        return False
    try:
        state = json.loads((directory / "state.json").read_text())
        tensors = load_file(directory / "learner.safetensors")
        if not isinstance(state, dict):
            raise ValueError("state.json holds no mapping")
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"{directory}: cannot be read ({error}); move it away to start from the prior") from None
    for key, expected in (("contract_digest", learner.contract.digest), ("prior_digest", learner.prior_digest)):
        if state.get(key) != expected:
            raise CheckpointError(
                f"{directory}: {key} {str(state.get(key))[:12]} is not this run's {expected[:12]}; "
                "resume with the same bundle, or move the checkpoint away"
            )
    try:
        for name in learner.NETWORKS:
            prefix = name + "."
            own = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
            if name == "pool" and not learner.pool.fits(own):
                continue  # a cache of another size, or none: it fills again
            getattr(learner, name).load_state_dict(own)
        for name, optimizer in learner.optimizers.items():
            _restore_optimizer(optimizer, tensors, f"optimizer.{name}.")
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{directory}: made with other network sizes ({' '.join(str(error).split())}); resume with the same "
            "configuration, or move the checkpoint away to start from the prior"
        ) from None
    try:
        learner.updates, learner.version, learner.alpha = int(state["updates"]), int(state["version"]), float(state["alpha"])
        if not 0.0 <= learner.alpha < math.inf:
            raise ValueError(f"alpha is {learner.alpha}")
        learner.lineage = str(state.get("lineage", ""))
        learner.rng.bit_generator.state = state["rng"]
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        text = f"{directory / 'state.json'}: {type(error).__name__}: {error}; move the checkpoint away to start from the prior"
        raise CheckpointError(text) from None
    return True


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict, prefix: str):
    full = optimizer.state_dict()
    full["state"] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, field = key[len(prefix) :].split(".", 1)
            full["state"].setdefault(int(index), {})[field] = value
    optimizer.load_state_dict(full)
