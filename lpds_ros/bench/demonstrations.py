"""Demonstrations of the suites on disk: where they lie, how they are read and written, and a task's way to make them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lpds_ros.bench.task import BenchError
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.durable import write_arrays

FILE = "demos.npz"  # in the folder of a task's demonstrations
FIRST_SEED = 20_000  # of experts' episodes; training and evaluation draw theirs elsewhere

# (folder, jobs=, episodes=, on_progress=, should_stop=) → the episodes; None when stopped before (the same call goes on)
Produce = Callable[..., list[Demonstration] | None]


def folder_of(root: Path, suite: str, task: str) -> Path:
    """Where the demonstrations of a task lie under a bench's root."""
    return root / "demos" / suite / task


def recorded(suite: str, name: str, produce: Produce) -> dict:
    """The two fields of a Task whose demonstrations `produce` records before a prior is trained."""
    how_to_make = f"lpds bench demos --suite {suite} --task {name}"
    return {"demonstrations": partial(_read, how_to_make), "make_demonstrations": partial(_make, name, produce)}


def _read(how_to_make: str, folder: Path) -> list[Demonstration]:
    return read_demonstrations(folder / FILE, how_to_make)


def _make(
    name: str,
    produce: Produce,
    folder: Path,
    *,
    jobs: int,
    episodes: int | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Record episodes into `folder`/FILE; False when stopped before (the same call goes on)."""

    def told(text: str):
        on_progress(f"{name}: {text}")

    demos = produce(folder, jobs=jobs, episodes=episodes, on_progress=told, should_stop=should_stop)
    if demos is None:
        return False
    save_demonstrations(folder / FILE, demos)
    told(f"{len(demos)} episodes; steps {_spread(len(d) for d in demos)}, return {_spread(d.rewards.sum() for d in demos)}")
    return True


def _spread(values) -> str:
    low, mean, high = min(found := list(values)), np.mean(found), max(found)
    return f"{mean:.0f} ({low:.0f} to {high:.0f})"


def save_demonstrations(path: Path, demonstrations: list[Demonstration]):
    """Write demonstrations as one .npz: rows of all episodes one after another, and the length of each. Never pickle."""
    arrays = {
        name: np.concatenate([getattr(demo, name) for demo in demonstrations])
        for name in ("observations", "actions", "rewards")
    }
    arrays["final_observations"] = np.array([demo.final_observation for demo in demonstrations])
    arrays["lengths"] = np.array([len(demo) for demo in demonstrations])
    arrays["success"] = np.array([demo.success for demo in demonstrations])
    arrays["seeds"] = np.array([demo.seed for demo in demonstrations])
    write_arrays(path, arrays)


def read_demonstrations(path: Path, how_to_make: str) -> list[Demonstration]:
    """What `save_demonstrations` wrote. Raises BenchError with `how_to_make` when absent, or when it cannot be read."""
    if not path.exists():
        raise BenchError(f"{path}: no demonstrations; make them with `{how_to_make}`")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            data = dict(arrays)
        stops = np.cumsum(data["lengths"])[:-1]
        rows = [np.split(data[name], stops) for name in ("observations", "actions", "rewards")]
        episodes = zip(*rows, data["success"], data["seeds"], data["final_observations"])
        return [
            Demonstration(o, a, r, bool(success), int(seed), "expert", final) for o, a, r, success, seed, final in episodes
        ]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise BenchError(f"{path}: not readable ({error}); make it again with `{how_to_make}`") from None
