"""Demonstrations in robomimic-layout HDF5 (robomimic, docs/datasets/overview).

Group `data` with attrs `total` and `env_args`; `data/demo_<i>` with `actions` [T, d_a] in [-1, 1], `rewards`, `dones`,
`states` (here the observation vector) and groups `obs/<feature>` and `next_obs/<feature>`, one dataset for each feature
of the contract but those made of images: of each stream of these `obs/<stream>_image`, uint8 [T, h, w, 3]; `mask/success`.
Pictures larger than the contract's are reduced when they are read. Ours beside it, as attrs of `data`: `contract_digest`, the
whole `contract` as JSON, and `action`, the meaning of an action row.
"""

import dataclasses
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lpds_ros.config import nearest
from lpds_ros.contract import Contract, Stream, contract_from_dict, contract_to_dict
from lpds_ros.data.demonstration import (
    MAX_TICKS,
    DemoError,
    DemoFile,
    Demonstration,
    check_demo,
    digest_demos,
    followed,
)
from lpds_ros.data.mapping import (
    Mapping,
    MappingError,
    actions_of,
    check_mapping,
    check_rate,
    observations_of,
    outcome_of,
)
from lpds_ros.images import ImageError, fitted

DEMO = re.compile(r"demo_\d{1,9}", re.ASCII)
MAX_BYTES = 1 << 30  # of one array
ACTIONS, REWARDS = "actions", "rewards"
COMPRESS_FROM_BYTES = 65536  # below it HDF5's bookkeeping for compression costs more than it saves


def write_demos_hdf5(path, demonstrations, contract: Contract) -> Path:
    """Write demonstrations in robomimic's layout; the file appears whole or not at all. Raises DemoError.

    They may be made one at a time: none is kept once it is written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with h5py.File(partial, "w", libver="v110") as file:
            _write_demos(file, demonstrations, contract)
        os.replace(partial, path)
    except DemoError as error:
        raise DemoError(f"{path}: {error}") from None
    finally:
        partial.unlink(missing_ok=True)  # whatever went wrong: a full disk must not be filled further
    return path


def _write_demos(file, demonstrations, contract: Contract):
    data, slices, ticks, succeeded = file.create_group("data"), contract.feature_slices(), [], []
    for i, demo in enumerate(demonstrations):
        check_demo(demo, contract, f"demonstration {i}")
        _write_demo(data.create_group(f"demo_{i}"), demo, contract, slices)
        ticks.append(len(demo))
        succeeded += [f"demo_{i}"] if demo.success else []
    if not ticks:
        raise DemoError("no demonstration to write")
    data.attrs["total"] = sum(ticks)
    environment = {"env_name": contract.task, "env_type": 0, "env_kwargs": {"rate_hz": contract.rate_hz}}
    data.attrs["env_args"] = json.dumps(environment)
    data.attrs["contract_digest"] = contract.digest
    data.attrs["contract"] = json.dumps(contract_to_dict(contract), sort_keys=True)
    data.attrs["action"] = json.dumps(contract_to_dict(contract)["action"], sort_keys=True)
    file.create_dataset("mask/success", data=np.array(succeeded, dtype="S32"))


def _write_demo(group, demo, contract, slices):
    group.attrs["num_samples"] = len(demo)
    group.attrs["success"] = bool(demo.success)
    group.attrs["seed"] = int(demo.seed)
    group.attrs["operator"] = demo.operator
    dones = np.zeros(len(demo), np.int64)
    dones[-1] = 1
    datasets = {"actions": demo.actions, "rewards": demo.rewards, "dones": dones, "states": demo.observations}
    pictured = {contract.images[stream].name for stream in demo.images}
    for name, where in slices.items():
        if name not in pictured:
            datasets[f"obs/{name}"] = demo.observations[:, where]
            datasets[f"next_obs/{name}"] = demo.next_observations[:, where]
    for stream in demo.images:
        pictures = demo.pictures(stream)
        one = (1, *pictures.shape[1:])
        group.create_dataset(f"obs/{stream}_image", data=pictures, chunks=one, compression="gzip", shuffle=True)
    for name, array in datasets.items():
        large = {"compression": "gzip", "shuffle": True} if array.nbytes > COMPRESS_FROM_BYTES else {}
        group.create_dataset(name, data=array, **large)


def read_demos_hdf5(path, contract: Contract | None = None, *, mapping: Mapping | None = None, mask: str = "") -> DemoFile:
    """Read an HDF5 demonstration file.

    A file of another recorder that has no contract of ours inside needs `contract`, whose features name its `obs` keys, or a
    `mapping` that says which of them they are. mask: name of one of its filters (`train`, `20_percent`), empty: all of it.
    Raises DemoError for a malformed file, ContractError when `contract` is given and is not the file's, MappingError.
    """
    path = Path(path)
    if not path.is_file():
        raise DemoError(f"{path}: no such file; record one with `lpds demos collect`")
    try:
        with h5py.File(path, "r") as file:
            if not _is_own_group(file, "data"):
                raise DemoError(f"{path}: no group 'data' in it; not a robomimic file")
            contract = _contract_of(file["data"], contract, path)
            if mapping is not None:
                _check_foreign(file["data"], contract, mapping, path)
            names = _masked(file, mask, path) if mask else [name for name in file["data"] if DEMO.fullmatch(name)]
            names = sorted(names, key=lambda name: int(name.removeprefix("demo_")))
            demos = [_read_demo(file["data"], name, contract, f"{path}: {name}", mapping) for name in names]
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError, UnicodeDecodeError, json.JSONDecodeError) as error:
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


def _check_foreign(data, contract: Contract, mapping: Mapping, path: Path):
    """Raise MappingError or DemoError unless the file is one that `mapping` fits, at the contract's rate."""
    if "contract" in data.attrs:
        raise MappingError(f"{path}: was recorded here and needs no mapping; leave it out")
    check_mapping(mapping, contract)
    rate = json.loads(data.attrs.get("env_args", "{}")).get("env_kwargs", {}).get("control_freq", mapping.fps)
    if not mapping.fps and not rate:
        raise MappingError(f"{path}: says no rate: add fps to the mapping")
    check_rate(float(mapping.fps or rate), contract, str(path))


def _masked(file, mask: str, path: Path) -> set[str]:
    """Names of the demonstrations that a filter keeps."""
    known = [name for name in file["mask"] if _is_own_array(file["mask"], name)] if _is_own_group(file, "mask") else []
    if mask not in known:
        raise DemoError(f"{path}: no mask '{mask}'{nearest(mask, known)}")
    dataset = file["mask"][mask]
    if dataset.dtype.kind != "S" or dataset.nbytes > MAX_BYTES:
        raise DemoError(f"{path}: mask '{mask}' holds no names of demonstrations")
    kept = {name.decode() for name in dataset[()].ravel()}
    absent = sorted(name for name in kept if not DEMO.fullmatch(name) or name not in file["data"])
    if absent:
        raise DemoError(f"{path}: mask '{mask}' names '{absent[0]}', which is not in the file")
    return kept


def _is_own_array(parent, name: str) -> bool:
    return isinstance(parent.get(name, getlink=True), h5py.HardLink) and isinstance(parent[name], h5py.Dataset)


def _is_own_group(parent, name: str) -> bool:
    """Whether `name` is a group that lies in this file: a link may lead into any other."""
    return isinstance(parent.get(name, getlink=True), h5py.HardLink) and isinstance(parent[name], h5py.Group)


def _numbers(group, key: str, where: str) -> np.ndarray:
    """An array of numbers that lies in this file."""
    return _dataset(group, key, where)[()]


def _dataset(group, key: str, where: str) -> h5py.Dataset:
    """It, unread. Raises DemoError for one that leads elsewhere, or is larger than anything a demonstration holds: a file of some
    bytes may declare any size.
    """
    *folders, name = key.split("/")
    for folder in folders:
        if not _is_own_group(group, folder):
            raise DemoError(f"{where}: '{key}' is not in this file")
        group = group[folder]
    found = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external or found.dtype.kind not in "fiub":
        raise DemoError(f"{where}: '{key}' is no array of numbers in this file")
    if not found.shape or len(found) > MAX_TICKS or found.nbytes > MAX_BYTES:
        raise DemoError(f"{where}: '{key}' has shape {found.shape}; at most {MAX_TICKS} ticks and {MAX_BYTES} bytes are read")
    return found


@dataclass(frozen=True)
class _Pictures:
    """Pictures in a file, in the size that `stream` asks for. shape: (T, h, w, 3)."""

    path: Path
    key: str
    stream: Stream
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """uint8 [T, h, w, 3]. Raises DemoError."""
        try:
            with h5py.File(self.path, "r") as file:
                pictures = file[self.key][()]
            if pictures.shape != self.shape:
                pictures = np.stack([fitted(picture, self.stream) for picture in pictures])
        except (OSError, KeyError, RuntimeError, ImageError) as error:
            raise DemoError(f"{self.path}: {self.key}: {error}") from None
        return pictures


def _read_demo(data, name, contract, where, mapping: Mapping | None):
    if not _is_own_group(data, name):
        raise DemoError(f"{where}: no group in this file")
    demo = _contracts_demo(data[name], contract, where) if mapping is None else _mapped_demo(data[name], contract, where, mapping)
    check_demo(demo, contract, where)
    return demo


def _mapped_demo(group, contract: Contract, where: str, mapping: Mapping) -> Demonstration:
    """Of another recorder: keys are those of `obs`, or of the demonstration's group."""

    def take(key, folder="obs"):
        inside = _is_own_group(group, folder) and key in group[folder]
        if not inside and key not in group:
            raise DemoError(f"{where}: no '{key}'{nearest(key, [*group.get('obs', ()), *group])}")
        return _numbers(group, f"{folder}/{key}" if inside else key, where)

    observations = observations_of(mapping, contract, take, where)
    if not (mapping.reward or mapping.success or mapping.assume_success):
        mapping = dataclasses.replace(mapping, reward=REWARDS)
    rewards, success = outcome_of(mapping, take, len(observations), where)
    after = None
    if "next_obs" in group:
        after = observations_of(mapping, contract, lambda key: take(key, "next_obs")[-1:], where)[0]
    actions = actions_of(mapping, contract, lambda key: take(key or ACTIONS), observations, where)
    images = {stream: _pictures(group, stream, contract, where, f"obs/{key}") for stream, key in mapping.images.items()}
    return Demonstration(observations, actions, rewards, success, final_observation=after, images=images)


def _contracts_demo(group, contract: Contract, where: str) -> Demonstration:
    """Recorded here, or with the contract's names."""
    columns, after, images = [], [], {}
    rewards = _numbers(group, REWARDS, where)
    for feature in contract.observation:
        key = f"obs/{feature.name}"
        if feature.stream in contract.images and f"obs/{feature.stream}_image" in group:
            images[feature.stream] = _pictures(group, feature.stream, contract, where)
            columns.append(np.zeros((len(rewards), feature.size)))  # what an encoder will make of them
            after.append(np.zeros((1, feature.size)))
            continue
        if key not in group:
            raise DemoError(f"{where}: no dataset '{key}', a feature of contract '{contract.name}'")
        column = _numbers(group, key, where)
        columns.append(column.reshape(len(column), -1))
        if f"next_obs/{feature.name}" in group:
            after.append(_numbers(group, f"next_obs/{feature.name}", where)[-1:].reshape(1, -1))
    return Demonstration(
        observations=np.concatenate(columns, axis=1),
        actions=_numbers(group, ACTIONS, where),
        rewards=rewards,
        success=bool(group.attrs.get("success", rewards.sum() > 0)),
        seed=int(group.attrs.get("seed", 0)),
        operator=str(group.attrs.get("operator", "")),
        final_observation=np.concatenate(after, axis=1)[0] if len(after) == len(columns) else None,
        images=images,
    )


def _pictures(group, stream: str, contract: Contract, where: str, key: str = "") -> _Pictures:
    key = key or f"obs/{stream}_image"
    found = _dataset(group, key, where)
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[3] != 3:
        raise DemoError(f"{where}: '{key}' must be uint8 [T, h, w, 3], it is {found.dtype} {found.shape}")
    wanted = contract.streams[stream]
    shape = (len(found), wanted.height_px, wanted.width_px, 3)
    return _Pictures(Path(found.file.filename), found.name, wanted, shape)
