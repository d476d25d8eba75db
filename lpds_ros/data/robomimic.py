"""Demonstrations in robomimic-layout HDF5 (robomimic, docs/datasets/overview).

Group `data` with attrs `total` and `env_args`; `data/demo_<i>` with `actions` [T, d_a] in [-1, 1], `rewards`, `dones`,
`states` (here the observation vector) and groups `obs/<feature>` and `next_obs/<feature>`, one dataset for each feature
of the contract; `mask/success`. Ours beside it, as attrs of `data`: `contract_digest`, the whole `contract` as JSON,
and `action`, the meaning of an action row.
"""

import json
import os
from pathlib import Path

import h5py
import numpy as np

from lpds_ros.contract import Contract, contract_from_dict, contract_to_dict
from lpds_ros.data.demonstration import DemoError, DemoFile, Demonstration, check_demo, digest_demos, followed

COMPRESS_FROM_BYTES = 65536  # below it HDF5's bookkeeping for compression costs more than it saves


def write_demos_hdf5(path, demonstrations, contract: Contract) -> Path:
    """Write demonstrations in robomimic's layout; the file appears whole or not at all. Raises DemoError."""
    path, demonstrations = Path(path), list(demonstrations)
    if not demonstrations:
        raise DemoError(f"{path}: no demonstration to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    slices = contract.feature_slices()
    with h5py.File(partial, "w", libver="v110") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(map(len, demonstrations))
        environment = {"env_name": contract.task, "env_type": 0, "env_kwargs": {"rate_hz": contract.rate_hz}}
        data.attrs["env_args"] = json.dumps(environment)
        data.attrs["contract_digest"] = contract.digest
        data.attrs["contract"] = json.dumps(contract_to_dict(contract), sort_keys=True)
        data.attrs["action"] = json.dumps(contract_to_dict(contract)["action"], sort_keys=True)
        for i, demo in enumerate(demonstrations):
            check_demo(demo, contract, f"demonstration {i}")
            _write_demo(data.create_group(f"demo_{i}"), demo, slices)
        names = [f"demo_{i}" for i, demo in enumerate(demonstrations) if demo.success]
        file.create_dataset("mask/success", data=np.array(names, dtype="S32"))
    os.replace(partial, path)
    return path


def _write_demo(group, demo, slices):
    group.attrs["num_samples"] = len(demo)
    group.attrs["success"] = bool(demo.success)
    group.attrs["seed"] = int(demo.seed)
    group.attrs["operator"] = demo.operator
    dones = np.zeros(len(demo), np.int64)
    dones[-1] = 1
    datasets = {"actions": demo.actions, "rewards": demo.rewards, "dones": dones, "states": demo.observations}
    for name, where in slices.items():
        datasets[f"obs/{name}"] = demo.observations[:, where]
        datasets[f"next_obs/{name}"] = demo.next_observations[:, where]
    for name, array in datasets.items():
        large = {"compression": "gzip", "shuffle": True} if array.nbytes > COMPRESS_FROM_BYTES else {}
        group.create_dataset(name, data=array, **large)


def read_demos_hdf5(path, contract: Contract | None = None) -> DemoFile:
    """Read an HDF5 demonstration file.

    A file of another recorder that has no contract of ours inside needs `contract`, whose features name its `obs` keys.
    Raises DemoError for a malformed file, ContractError when `contract` is given and is not the file's.
    """
    path = Path(path)
    if not path.is_file():
        raise DemoError(f"{path}: no such file; record one with `lpds demos collect`")
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file:
                raise DemoError(f"{path}: no group 'data'; not a robomimic file")
            contract = _contract_of(file["data"], contract, path)
            names = sorted(
                (n for n in file["data"] if n.startswith("demo_")), key=lambda n: int(n.removeprefix("demo_"))
            )
            demos = [_read_demo(file["data"][name], contract, f"{path}: {name}") for name in names]
    except (OSError, KeyError, TypeError) as error:
        raise DemoError(f"{path}: not a readable demonstration file: {error}") from None
    if not demos:
        raise DemoError(f"{path}: holds no demonstration")
    return DemoFile(demos, contract, digest_demos(demos))


def _contract_of(data, expected, path):
    if "contract" not in data.attrs:
        if expected is None:
            raise DemoError(f"{path}: no contract inside; name the one it follows with --contract")
        return expected
    found = contract_from_dict(json.loads(data.attrs["contract"]), f"{path}: contract")
    if found.digest != data.attrs["contract_digest"]:
        raise DemoError(
            f"{path}: its contract has digest {found.digest[:12]}, recorded {data.attrs['contract_digest'][:12]}"
        )
    return followed(expected, found, str(path))


def _read_demo(group, contract, where):
    columns, after = [], []
    for feature in contract.observation:
        key = f"obs/{feature.name}"
        if key not in group:
            raise DemoError(f"{where}: no dataset '{key}', a feature of contract '{contract.name}'")
        column = group[key][()]
        columns.append(column.reshape(len(column), -1))
        if f"next_obs/{feature.name}" in group:
            after.append(group[f"next_obs/{feature.name}"][-1].reshape(-1))
    rewards = group["rewards"][()]
    demo = Demonstration(
        observations=np.concatenate(columns, axis=1),
        actions=group["actions"][()],
        rewards=rewards,
        success=bool(group.attrs.get("success", rewards.sum() > 0)),
        seed=int(group.attrs.get("seed", 0)),
        operator=str(group.attrs.get("operator", "")),
        final_observation=np.concatenate(after) if len(after) == len(columns) else None,
    )
    check_demo(demo, contract, where)
    return demo
