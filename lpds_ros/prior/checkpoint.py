"""A training run on disk: tensors in safetensors, the rest in JSON that is written last. Never pickle."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from lpds_ros.contract import Contract, contract_from_dict, contract_to_dict
from lpds_ros.durable import write_whole
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.problem import Problem, problem_from_dict, problem_to_dict

SCHEMA = 1
INDEX = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on: `tensors` holds network.*, ema.*, adam.* and normaliser.* by name."""

    config: PriorConfig
    contract: Contract | Problem
    update: int
    tensors: dict[str, torch.Tensor]
    demos: dict  # digest, count, ticks
    history: list[dict] = field(default_factory=list)  # update, train_loss, held_out_loss

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose name starts with `prefix.`, without it."""
        return {name.removeprefix(prefix + "."): t for name, t in self.tensors.items() if name.startswith(prefix + ".")}


def save_checkpoint(directory, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into `directory`; an earlier one stays valid until this one is complete."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    content = save({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()})
    tensors = directory / f"update-{checkpoint.update:08d}.safetensors"
    write_whole(tensors, content)
    index = {
        "schema": SCHEMA,
        "update": checkpoint.update,
        "tensors": tensors.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "config": dataclasses.asdict(checkpoint.config),
        "demos": checkpoint.demos,
        "history": checkpoint.history,
    }
    if isinstance(checkpoint.contract, Problem):
        index["problem"] = problem_to_dict(checkpoint.contract)
    else:
        index["contract"] = contract_to_dict(checkpoint.contract)
    write_whole(directory / INDEX, json.dumps(index, indent=1).encode())
    for old in directory.glob("update-*.safetensors"):
        if old != tensors:
            old.unlink()
    return directory


def load_checkpoint(directory) -> Checkpoint:
    """Read what `save_checkpoint` wrote. Raises PriorError when it is absent, damaged or of another version."""
    directory = Path(directory)
    if not (directory / INDEX).is_file():
        raise PriorError(f"{directory}: no {INDEX}; not a training run of `lpds prior train`")
    try:
        index = json.loads((directory / INDEX).read_bytes())
        if index["schema"] != SCHEMA:
            raise PriorError(
                f"{directory}: checkpoint schema {index['schema']} is not known to this version ({SCHEMA})"
            )
        content = (directory / Path(index["tensors"]).name).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != index["sha256"]:
            raise PriorError(
                f"{directory / index['tensors']}: sha256 {found[:12]}, recorded {index['sha256'][:12]}: damaged"
            )
        where = str(directory / INDEX)
        if "problem" in index:
            contract = problem_from_dict(index["problem"], where)
        else:
            contract = contract_from_dict(index["contract"], where)
        config = PriorConfig(**index["config"])
        return Checkpoint(config, contract, index["update"], load(content), index["demos"], index["history"])
    except PriorError:
        raise
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError, SafetensorError) as error:
        raise PriorError(f"{directory}: damaged checkpoint: {error}") from None
