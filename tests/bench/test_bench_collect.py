"""Episodes collected in parallel: the same set whatever happens on the way, and none of it lost or mixed."""

import os
import time
from functools import partial

import numpy as np
import pytest

from lpds_ros.bench.collect import SPARE, TRIES, collect
from lpds_ros.bench.task import BenchError
from lpds_ros.data.demonstration import Demonstration

IDENTITY = {"expert": {"noise": 0.3}, "mujoco": "3.9.0"}


def episode(seed: int, should_stop, *, failing=(), marks=None, slow=()) -> Demonstration | None:
    """Three steps that hold the seed. marks: a folder that gets a file for every call; slow: seeds that run until stopped."""
    if marks is not None:
        (marks / f"{seed}-{time.monotonic_ns()}").touch()
    while seed in slow:
        if should_stop():
            return None
        time.sleep(0.01)
    observations = np.full((3, 2), seed, np.float32)
    return Demonstration(observations, np.zeros((3, 1)), np.zeros(3), seed not in failing, seed, "expert")


def dying(seed: int, should_stop):
    os._exit(9)


def gather(folder, wanted=3, record=episode, **named):
    return collect(record, folder, wanted, first_seed=100, identity=IDENTITY, **named)


def seeds_of(demos):
    return [demo.seed for demo in demos]


def test_a_set_is_the_first_successes_in_order(tmp_path):
    lines = []
    demos = gather(tmp_path, record=partial(episode, failing=(100, 102)), jobs=2, on_progress=lines.append)
    assert seeds_of(demos) == [101, 103, 104] and all(demo.success for demo in demos)
    assert demos[1].observations[0, 0] == 103.0
    assert "seed 100 failed" in lines[0] and "3 of 3 wanted, 5 tried" in lines[-1]


def test_what_is_there_is_not_made_again(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    record = partial(episode, failing=(101,), marks=marks)
    first = gather(tmp_path / "e", record=record)
    made = {path.name.partition("-")[0] for path in marks.iterdir()}
    more = gather(tmp_path / "e", wanted=5, record=record)
    assert seeds_of(first) == [100, 102, 103] and seeds_of(more) == [100, 102, 103, 104, 105]
    calls = [path.name.partition("-")[0] for path in marks.iterdir()]
    assert made == {"100", "101", "102", "103"} and sorted(calls) == ["100", "101", "102", "103", "104", "105"]


def test_a_stop_is_obeyed_inside_an_episode_and_leaves_no_half_of_it(tmp_path):
    told = []
    started = time.monotonic()
    found = gather(
        tmp_path, record=partial(episode, slow=(101,)), on_progress=told.append, should_stop=lambda: len(told) == 1
    )
    assert found is None and time.monotonic() - started < 30
    assert (tmp_path / "100.npz").exists() and not (tmp_path / "101.npz").exists()
    assert seeds_of(gather(tmp_path)) == [100, 101, 102]


def test_episodes_of_another_expert_are_not_mixed_in(tmp_path):
    gather(tmp_path, wanted=0)
    with pytest.raises(BenchError, match=r"expert\.noise 0\.3 -> 0\.4.*remove the folder"):
        collect(episode, tmp_path, 1, first_seed=100, identity=IDENTITY | {"expert": {"noise": 0.4}})


def test_an_expert_that_never_succeeds_is_given_up(tmp_path):
    with pytest.raises(BenchError, match=f"only 0 of {TRIES + SPARE} episodes succeeded"):
        gather(tmp_path, wanted=1, record=partial(episode, failing=range(1000)))


def test_a_dead_worker_is_told_and_not_waited_for(tmp_path):
    with pytest.raises(BenchError, match="a worker died"):
        gather(tmp_path, record=dying)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "100.npz").write_bytes(b"half")
    with pytest.raises(BenchError, match=r"100\.npz: not readable"):
        gather(tmp_path, wanted=1)
