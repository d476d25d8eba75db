"""The paths of a run's final episodes, kept beside the result rows for the pictures."""

from pathlib import Path

import numpy as np

KEPT = 150  # episodes of which the path is kept


def file_of(results: Path, row: dict) -> Path:
    """Where the paths of a row lie."""
    method = row["method"].replace(":", "-")
    return results.parent / "paths" / f"{row['suite']}-{row['task']}-{method}-{row['seed']}.npz"


def save(path: Path, paths: list[np.ndarray], modes: np.ndarray):
    """Write the first KEPT paths [T, 2] and their modes."""
    paths = paths[:KEPT]
    path.parent.mkdir(parents=True, exist_ok=True)
    points, lengths = np.concatenate(paths).astype(np.float32), np.array([len(p) for p in paths])
    np.savez_compressed(path, points=points, lengths=lengths, modes=modes[: len(paths)])


def load(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """(paths, modes) as `save` was given them."""
    with np.load(path, allow_pickle=False) as arrays:
        return np.split(arrays["points"], np.cumsum(arrays["lengths"])[:-1]), arrays["modes"]
