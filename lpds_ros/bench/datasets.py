"""Published data sets as demonstrations, for people with a network: robomimic's low-dimensional HDF5, and Minari (D4RL).

Both are read as they lie on the disk; neither package is needed. An episode that goes on after its first success is cut
there, because the worlds here end there.
"""

import json
from pathlib import Path

import h5py
import numpy as np

from lpds_ros.config import nearest
from lpds_ros.data.demonstration import DemoError, Demonstration, check_demo
from lpds_ros.problem import Problem

ARM_KEYS = ("eef_pos", "eef_quat", "gripper_qpos")  # of each arm, as robosuite_worlds orders them
OBJECT_KEYS = ("object", "object-state")  # what robomimic and robosuite call the same vector
MINARI_FILE, MINARI_METADATA = "main_data.hdf5", "metadata.json"
MINARI_ARRAYS = ("observations", "actions", "rewards", "terminations", "truncations")


def read_dataset(path, problem: Problem, *, mask: str = "", environment: str = "") -> list[Demonstration]:
    """Demonstrations of `problem` from a robomimic file or a Minari folder, in the order they are stored.

    mask: of a robomimic file, the name of one of its filters (`train`, `20_percent`). environment: the name that the data
    set must give its environment, whatever the version of a Minari one. Raises DemoError for a file of neither kind, an
    unknown mask, a missing array, another environment, or sizes and actions that are not the problem's.
    """
    path = Path(path).expanduser()
    folder = _minari_folder(path)
    if folder is not None:
        if mask:
            raise DemoError(f"{path}: a Minari data set has no masks; leave '{mask}' out")
        demos = read_minari(folder, environment=environment)
    elif path.is_file():
        demos = read_robomimic(path, mask=mask, environment=environment)
    else:
        raise DemoError(f"{path}: neither a robomimic file nor the folder of a Minari data set ({MINARI_FILE} inside)")
    for i, demo in enumerate(demos):
        check_demo(demo, problem, f"{path}: episode {i}")
    return demos


def read_robomimic(path, *, mask: str = "", environment: str = "") -> list[Demonstration]:
    """Episodes of a robomimic file with low-dimensional observations: hand and gripper of each arm, then the object."""
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file:
                raise DemoError(f"{path}: no group 'data'; not a robomimic file")
            _check_environment(file["data"], environment, path)
            names = _masked(file, mask, path)
            demos = [_robomimic_demo(file["data"][name], f"{path}: {name}", i) for i, name in enumerate(names)]
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise DemoError(f"{path}: not a readable robomimic file: {error}") from None
    if not demos:
        raise DemoError(f"{path}: holds no episode")
    return demos


def _check_environment(data, expected: str, path: Path):
    found = json.loads(data.attrs.get("env_args", "{}")).get("env_name", "")
    if expected and found and found != expected:
        raise DemoError(f"{path}: holds demonstrations of {found}, not of {expected}")


def _masked(file, mask: str, path: Path) -> list[str]:
    """Names of the episodes of a mask, or of all, by number."""
    names = [name for name in file["data"] if name.startswith("demo_")]
    if mask:
        known = list(file["mask"]) if "mask" in file else []
        if mask not in known:
            raise DemoError(f"{path}: no mask '{mask}'{nearest(mask, known)}")
        kept = {name.decode() for name in file[f"mask/{mask}"][()]}
        absent = kept - set(names)
        if absent:
            raise DemoError(f"{path}: mask '{mask}' names {min(absent)}, which is not in the file")
        names = [name for name in names if name in kept]
    return sorted(names, key=lambda name: int(name.removeprefix("demo_")))


def _robomimic_demo(group, where: str, index: int) -> Demonstration:
    if "obs" not in group:
        raise DemoError(f"{where}: has no observations; extract them with robomimic's dataset_states_to_obs.py")
    keys = _robomimic_keys(group["obs"], where)
    for key in ("actions", "rewards"):
        if key not in group:
            raise DemoError(f"{where}: no dataset '{key}'")
    after = group["next_obs"] if "next_obs" in group and all(key in group["next_obs"] for key in keys) else None
    rewards = group["rewards"][()]
    if not np.isin(rewards, (0.0, 1.0)).all():
        raise DemoError(f"{where}: has shaped rewards; take the file with sparse ones")
    return _ended(
        where,
        observations=_columns(group["obs"], keys),
        actions=group["actions"][()],
        rewards=rewards,
        solved=rewards > 0,
        seed=index,
        operator="robomimic",
        final=_columns(after, keys)[-1] if after is not None else None,
    )


def _robomimic_keys(obs, where: str) -> list[str]:
    arms = [arm for arm in ("robot0", "robot1") if f"{arm}_eef_pos" in obs]
    keys = [f"{arm}_{key}" for arm in arms or ["robot0"] for key in ARM_KEYS]
    keys.append(next((key for key in OBJECT_KEYS if key in obs), OBJECT_KEYS[0]))
    missing = [key for key in keys if key not in obs]
    if missing:
        raise DemoError(f"{where}: no observation {', '.join(missing)}; the file has {', '.join(sorted(obs))}")
    return keys


def _columns(group, keys) -> np.ndarray:
    arrays = [group[key][()] for key in keys]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def _minari_folder(path: Path) -> Path | None:
    """The folder with Minari's files: `path`, its subfolder `data`, or where `path` itself is the file."""
    candidates = (path.parent,) if path.name == MINARI_FILE else (path, path / "data")
    return next((folder for folder in candidates if (folder / MINARI_METADATA).is_file()), None)


def read_minari(folder, *, environment: str = "") -> list[Demonstration]:
    """Episodes of a Minari data set stored as HDF5; actions clipped to the space's bounds and scaled to [-1, 1].

    An environment clips what it is sent, and D4RL recorded before that. Success is the info `success` where there is one.
    """
    folder = Path(folder)
    try:
        metadata = json.loads((folder / MINARI_METADATA).read_text())
        if metadata.get("data_format", "hdf5") != "hdf5":
            raise DemoError(f"{folder}: stored as {metadata['data_format']}; convert it to hdf5 with Minari first")
        found = json.loads(metadata.get("env_spec") or "{}").get("id", "")
        if environment and found and _unversioned(found) != _unversioned(environment):
            raise DemoError(f"{folder}: holds demonstrations of {found}, not of {environment}")
        bounds = _bounds(metadata, folder)
        with h5py.File(folder / MINARI_FILE, "r") as file:
            names = sorted((n for n in file if n.startswith("episode_")), key=lambda n: int(n.removeprefix("episode_")))
            demos = [_minari_demo(file[name], bounds, f"{folder}: {name}") for name in names]
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise DemoError(f"{folder}: not a readable Minari data set: {error}") from None
    if not demos:
        raise DemoError(f"{folder}: holds no episode")
    return demos


def _unversioned(name: str) -> str:
    return name.rsplit("-v", 1)[0]


def _bounds(metadata: dict, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) [d_a] of the action space; ±1 where the data set does not say."""
    space = json.loads(metadata.get("action_space") or '{"type": "Box", "low": -1.0, "high": 1.0}')
    if space.get("type") != "Box":
        raise DemoError(f"{folder}: actions are of a {space.get('type')} space; only Box can be learned from")
    low, high = np.array(space["low"], float), np.array(space["high"], float)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise DemoError(f"{folder}: the action space has no finite bounds to scale by")
    return low, high


def _minari_demo(group, bounds, where: str) -> Demonstration:
    for key in MINARI_ARRAYS:
        if key not in group:
            raise DemoError(f"{where}: no dataset '{key}'")
        if isinstance(group[key], h5py.Group):
            raise DemoError(f"{where}: '{key}' is a dictionary of {', '.join(group[key])}; only plain vectors can be read")
    observations, actions, rewards = (group[key][()] for key in MINARI_ARRAYS[:3])
    if len(observations) != len(rewards) + 1:
        raise DemoError(f"{where}: {len(observations)} observations for {len(rewards)} steps, expected one more than steps")
    low, high = bounds
    if low.ndim and low.shape != actions.shape[1:]:
        raise DemoError(f"{where}: actions of {actions.shape[1:]} numbers in a space of {low.shape}")
    return _ended(
        where,
        observations=observations[:-1],
        actions=2.0 * (np.clip(actions, low, high) - low) / (high - low) - 1.0,
        rewards=rewards,
        solved=_solved(group, len(rewards)),
        seed=int(group.attrs.get("seed", group.attrs.get("id", 0))),
        operator="minari",
        final=observations[-1],
    )


def _solved(group, steps: int) -> np.ndarray:
    """bool [T] from the info `success`: a group of arrays in older data sets, one JSON text a step in newer ones."""
    infos = group.get("infos")
    if isinstance(infos, h5py.Group) and "success" in infos:
        values = infos["success"][()]
    elif isinstance(infos, h5py.Dataset):
        values = np.array([bool(json.loads(text).get("success", False)) for text in infos[()]])
    else:
        return np.zeros(steps, bool)
    return values.reshape(len(values), -1)[-steps:].any(axis=1)  # the first info, if any, is that of the reset


def _ended(where: str, *, observations, actions, rewards, solved, seed, operator, final) -> Demonstration:
    """The episode up to its first success, with `where` in front of what is wrong with it."""
    hits = np.flatnonzero(solved)
    if len(hits) and hits[0] + 1 < len(rewards):
        stop = hits[0] + 1
        final = observations[stop] if stop < len(observations) else final
        observations, actions, rewards = observations[:stop], actions[:stop], rewards[:stop]
    try:
        return Demonstration(observations, actions, rewards, bool(len(hits)), seed, operator, final)
    except DemoError as error:
        raise DemoError(f"{where}: {error}") from None
