"""The trained expert of tasks where a linear one does not get to walk."""

import numpy as np
import pytest

from lpds_ros.bench.ppo_expert import PpoConfig, Snapshot, load, save, snapshots
from lpds_ros.bench.suites.gym import choose
from lpds_ros.bench.task import BenchError

RNG = np.random.default_rng(0)


def snapshot(value: float) -> Snapshot:
    layers = tuple((RNG.normal(size=(o, i)), RNG.normal(size=o)) for i, o in ((3, 4), (4, 2)))
    return Snapshot(value, RNG.normal(size=3), np.full(3, 2.0), layers)


def test_a_snapshot_is_a_tanh_network_on_normalised_observations():
    one, observation = snapshot(1.0), RNG.normal(size=3)
    (w0, b0), (w1, b1) = one.layers
    expected = np.clip(w1 @ np.tanh(w0 @ ((observation - one.shift) / 2.0) + b0) + b1, -1, 1)
    assert np.allclose(one(observation), expected) and np.abs(one(np.full(3, 1e9))).max() <= 1.0


def test_snapshots_come_back_from_their_file(tmp_path):
    kept = [snapshot(1.0), snapshot(2.0)]
    save(tmp_path / "ppo.npz", kept)
    found = snapshots(PpoConfig("none"), tmp_path)  # trains nothing
    observation = RNG.normal(size=3)
    assert [one.value for one in found] == [1.0, 2.0]
    assert all(np.array_equal(a(observation), b(observation)) for a, b in zip(kept, load(tmp_path / "ppo.npz")))


def test_policies_are_chosen_by_their_strength():
    policies = [(value, object()) for value in (-5.0, 10.0, 50.0, 100.0)]
    assert choose(policies, (0.2, 0.7)) == [policies[2][1]]
    with pytest.raises(BenchError, match="between 60 and 90"):
        choose(policies, (0.6, 0.9))


def test_training_gives_snapshots_that_act_as_the_library_does(tmp_path):
    pytest.importorskip("stable_baselines3", reason="needs the peers extra: pip install 'lpds_ros[peers]'")
    config = PpoConfig(
        "InvertedPendulum-v5", 2048, 1000, environments=2, n_steps=128, batch_size=64, n_epochs=2, width=8
    )
    told = []
    found = snapshots(config, tmp_path, on_snapshot=lambda steps, one: told.append((steps, one.value)))
    assert [steps for steps, _ in told] == [1000, 2000] and (tmp_path / "ppo.npz").exists()
    assert all(one.value > 0 for one in found)
    assert snapshots(config, tmp_path / "stopped", should_stop=lambda: True) is None
