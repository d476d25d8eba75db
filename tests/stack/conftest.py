"""Fixtures of the stack tests."""

import pytest
from launched import Launched

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")

# So many updates are owed for each decision that the episodes wait for the learner, however slow the machine is.
LEARNER = """
critic_width: 32
actor_width: 32
batch_size: 32
warmup_decisions: 20
critic_warmup_updates: 10
updates_per_decision: 6.0
push_every: 10
"""


@pytest.fixture
def start(tmp_path):
    """start("demo", "episodes:=3", …) → Launched, in a run folder of its own or `run_dir`; all ended with the test."""
    runs = []

    def launch(*words, run_dir=None) -> Launched:
        runs.append(Launched(run_dir or tmp_path / "runs" / f"r{len(runs)}", *words))
        return runs[-1]

    yield launch
    for run in runs:
        run.kill_all()


@pytest.fixture
def basics(tiny_bundle, tmp_path) -> list[str]:
    """Launch arguments of a quick learning run in lockstep."""
    config = tmp_path / "learner.yaml"
    config.write_text(LEARNER)
    return [f"prior:={tiny_bundle.path}", "clock:=lockstep", f"learner_config:={config}"]
