"""`lpds learn`: the cores of the lockstep stack in one process learn the same twice, and leave what `lpds eval` takes."""

import json

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")

from lpds_ros.cli import main  # noqa: E402
from lpds_ros.commands.eval import read_actor  # noqa: E402

QUICK = "warmup_decisions: 5\ncritic_warmup_updates: 5\npush_every: 5\nbatch_size: 16\ndistill_states: 8\n"


def learned(bundle, folder):
    config = folder.parent / "learner.yaml"
    config.write_text(QUICK)
    words = ["learn", "--bundle", str(bundle.path), "--episodes", "2", "--seed", "4", "--learner-config", str(config)]
    return main([*words, "--out", str(folder)])


def test_the_same_seed_learns_the_same_weights(tiny_bundle, tmp_path, capsys):
    actors = []
    for run in (tmp_path / "one", tmp_path / "two"):
        assert learned(tiny_bundle, run) == 0
        actors.append(read_actor(str(run / "actor" / "latest.safetensors"), tiny_bundle.contract, tiny_bundle.digest))
    one, two = actors
    assert one.updates == two.updates > 5 and one.version == two.version > 0
    assert all(np.array_equal(a, b) for ours, theirs in zip(one.layers, two.layers) for a, b in zip(ours, theirs))
    rows = [json.loads(line) for line in (tmp_path / "one" / "episodes.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [5_000_000, 5_000_001] and rows[-1]["weights_version"] > 0
    assert "lpds eval --bundle" in capsys.readouterr().out


def test_it_writes_over_no_earlier_run(tiny_bundle, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert learned(tiny_bundle, tmp_path / "run") == 2 and "name another folder" in capsys.readouterr().err
