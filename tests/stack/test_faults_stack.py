"""A few faults in the real processes; `lpds faults run` has them all."""

import re

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")

from lpds_ros.faults import processes, streams  # noqa: E402
from lpds_ros.faults.live import Live  # noqa: E402


def test_a_dead_stream_holds_and_a_dead_steering_node_neither_moves_nor_starts_again_by_itself(tmp_path):
    with Live(tmp_path, "clock:=realtime", "learner:=false") as live:
        held = streams.pose_stops(live)
        assert "stream 'pose'" in held.note and held.recovered == "by itself", held.note
        killed = processes.steering_killed(live)
        # When it came to rest, measured on a machine that stalls, is the campaign's to judge.
        assert "waits" not in killed.note and killed.recovered == "after lpds/arm", killed.note
        moved_mm = float(re.search(r"the arm moved ([\d.]+) mm", killed.note)[1])
        assert moved_mm < 1.0, killed.note
