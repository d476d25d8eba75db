"""Whatever policy and sensors say, no command leaves the limits. `python tests/safety_rows.py 1000000` does it with more rows."""

import pytest
import safety_rows

from lpds_ros.steering.core import SteeringParams

ROWS = 20_000


def test_no_command_leaves_the_limits():
    report = safety_rows.run(ROWS, seed=1)
    assert report.broken() == []
    assert report.rows >= ROWS and report.sent > ROWS // 2 and report.anchored > ROWS // 20, "it must have been tried"


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        ({"max_speed_mps": 0.26}, "moved_m"),
        ({"max_turn_radps": 0.7}, "turned_rad"),
        ({"anchor_m": 0.08}, "lead_m"),
        ({"anchor_rad": 0.4}, "lead_rad"),
        ({"joint_margin_rad": 0.05}, "outward"),
    ],
)
def test_the_check_sees_a_limit_that_does_not_hold(wrong, seen):
    broken = safety_rows.run(4000, seed=1, params=SteeringParams(**wrong)).broken()
    assert any(line.startswith(seen) for line in broken), broken
