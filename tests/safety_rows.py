"""Wild actions and wild measured poses through the real core, and what came out of it, checked against the limits alone.

    python tests/safety_rows.py 1000000
"""

import sys
import time
from dataclasses import dataclass, fields, replace

import numpy as np
from steering_fakes import DOWN, READY, SECOND, START, lift

from lpds_ros.contract import Horizons
from lpds_ros.geometry import angle_between, from_rotation_vector, multiply
from lpds_ros.records import Observation
from lpds_ros.robot.kinematics import joint_step
from lpds_ros.robot.limits import load_limits
from lpds_ros.steering.core import SteeringCore, SteeringParams

STEP_M, TURN_RAD, ANCHOR_M, ANCHOR_RAD, MARGIN_RAD = 0.0125, 0.03, 0.05, 0.3, 0.15  # of the defaults, at 20 Hz
SLACK = 1e-6
ODD = np.array([np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 0.0, -0.0, 1.0, -1.0], np.float32)


@dataclass
class Report:
    """What `run` saw. sent: rows that moved the target. moved_m, turned_rad: the largest of one tick, of those that did not
    start again from the measured pose. outside_m: farther out of the workspace than the pose before and the measured one.
    lead_m, lead_rad: of the target before the measured pose, in ticks that sent a row. crept: ticks that sent none and moved the
    target, but to where the arm is. flips: of a quaternion's sign. outward: steps that drove a joint near its end further out.
    faults: why the core failed.
    """

    rows: int = 0
    ticks: int = 0
    sent: int = 0
    anchored: int = 0
    not_finite: int = 0
    moved_m: float = 0.0
    turned_rad: float = 0.0
    outside_m: float = 0.0
    lead_m: float = 0.0
    lead_rad: float = 0.0
    unit: float = 0.0
    crept: int = 0
    flips: int = 0
    outward: int = 0
    faults: str = ""

    def broken(self) -> list[str]:
        """Which limits were broken."""
        highest = {
            "moved_m": STEP_M,
            "turned_rad": TURN_RAD,
            "lead_m": ANCHOR_M + STEP_M,
            "lead_rad": ANCHOR_RAD + TURN_RAD,
        }
        found = [f"{name} {getattr(self, name)} > {most}" for name, most in highest.items() if getattr(self, name) > most + SLACK]
        never = ("not_finite", "crept", "flips", "outward", "faults")
        found += [f"{name} {getattr(self, name)}" for name in never if getattr(self, name)]
        return found + [f"{name} {value}" for name, value in (("outside_m", self.outside_m), ("unit", self.unit)) if value > 1e-9]


class Decoder:
    """Its next row, whatever is asked."""

    bundle = None

    def __init__(self, rng: np.random.Generator):
        self._rng, self._rows, self.given = rng, iter(()), 0

    def decode(self, state, noise):
        row = next(self._rows, None)
        if row is None:
            self._rows = iter(_rows(self._rng, 4096))
            row = next(self._rows)
        self.given += 1
        return row[None, None]


def _rows(rng, count):
    """float32 [count, 7]: half ordinary, a third of any size, a tenth with numbers that are none."""
    rows = rng.uniform(-1.2, 1.2, (count, 7))
    kind = rng.random(count)
    any_size = np.sign(rows) * 10.0 ** rng.uniform(-45, 38, rows.shape)
    rows = np.where((kind > 0.55)[:, None], any_size, rows).astype(np.float32)
    odd = (kind > 0.9)[:, None] & (rng.random(rows.shape) < 0.4)
    return np.where(odd, rng.choice(ODD, rows.shape), rows)


class Arm:
    """Mostly where it was sent; sometimes pushed, far away, broken, or its joints near an end."""

    def __init__(self, rng):
        self._rng = rng
        self.position, self.orientation, self.joints = START.copy(), DOWN.copy(), READY
        self._hard = load_limits("fr3").joints

    def go(self, position, orientation):
        self.position, self.orientation = position, orientation

    def measured(self):
        rng = self._rng
        kind = rng.random()
        position, orientation, joints = self.position, self.orientation, self.joints + 1e-3 * rng.normal(size=7)
        if kind < 0.70:
            position = position + 1e-3 * rng.normal(size=3)
        elif kind < 0.90:  # pushed, or left behind
            position = position + rng.uniform(-0.1, 0.1, 3)
            turned = multiply(from_rotation_vector(rng.uniform(-0.2, 0.2, 3)), orientation)
            orientation = turned / np.linalg.norm(turned) * rng.choice([-1.0, 1.0])
        elif kind < 0.94:  # somewhere an arm can be, out of the workspace too
            position = rng.uniform([-0.8, -0.9, -0.3], [0.9, 0.9, 1.2])
        elif kind < 0.96:
            joints = joints.copy()
            i, end = rng.integers(7), rng.random() < 0.5
            ends = self._hard.position_max_rad if end else self._hard.position_min_rad
            joints[i] = ends[i] + rng.uniform(-0.2, 0.2)
        elif kind < 0.98:
            position = position * 10.0 ** rng.uniform(-300, 300, 3)
        else:
            position, orientation = position.copy(), orientation.copy()
            spoilt = position if rng.random() < 0.5 else orientation
            spoilt[rng.integers(3)] = rng.choice(ODD)
        return position, orientation, joints


def run(rows: int, seed: int, params: SteeringParams | None = None) -> Report:
    """Send so many rows through a core whose every chunk is one row."""
    rng = np.random.default_rng(seed)
    contract = replace(lift(turns=True, max_ticks=10**9), horizons=Horizons(1, 1, 1))
    decoder, arm, report = Decoder(rng), Arm(rng), Report()
    core = SteeringCore(contract, params or SteeringParams(), decoder, seed=seed, session="rows")
    core.begin_episode(0, 0)
    box, data, now_ns = contract.workspace, np.zeros(contract.observation_size, np.float32), SECOND
    low, high, last = np.array(box.min_m), np.array(box.max_m), None

    def outside(point):
        return float(np.abs(point - np.clip(point, low, high)).max())

    while decoder.given < rows:
        position, orientation, joints = arm.measured()
        with np.errstate(all="ignore"):
            tick = core.tick(Observation(now_ns, True, "", data, {}, position, orientation, joints, 0.08))
        now_ns += contract.period_ns
        report.ticks += 1
        if core.failure:
            report.faults = core.failure
            break
        if not tick.targets:
            continue
        end = tick.targets[-1]
        sent = np.array([[*t.position, *t.orientation] for t in tick.targets])
        report.not_finite += not np.isfinite(sent).all()
        report.unit = max(report.unit, float(np.abs(np.linalg.norm(sent[:, 3:], axis=1) - 1.0).max()))
        moves = tick.source is not None
        report.sent += moves
        if last is not None:
            before = np.vstack([[*last.position, *last.orientation], sent])
            report.flips += bool((np.sum(before[1:, 3:] * before[:-1, 3:], axis=1) < 0.0).any())
            kept = any(np.array_equal(end.position, point) for point in (last.position, position))
            report.crept += not moves and not kept
            if moves:
                _account(report, last, end, position, orientation, joints)
                report.outside_m = max(report.outside_m, outside(end.position) - max(outside(last.position), outside(position)))
        last = end
        arm.go(end.position, end.orientation)
    report.rows = decoder.given
    return report


def _account(report: Report, last, end, position, orientation, joints):
    """Account for one row that was sent: of the steps from the pose before and from the measured one the shorter counts."""
    lead_m = float(np.linalg.norm(end.position - position))
    lead_rad = angle_between(end.orientation, orientation)
    moved_m = float(np.linalg.norm(end.position - last.position))
    turned_rad = angle_between(end.orientation, last.orientation)
    report.anchored += moved_m > STEP_M + SLACK or turned_rad > TURN_RAD + SLACK
    report.moved_m = max(report.moved_m, min(moved_m, lead_m))
    report.turned_rad = max(report.turned_rad, min(turned_rad, lead_rad))
    report.lead_m, report.lead_rad = max(report.lead_m, lead_m), max(report.lead_rad, lead_rad)
    hard = load_limits("fr3").joints
    above = joints > np.array(hard.position_max_rad) - MARGIN_RAD
    below = joints < np.array(hard.position_min_rad) + MARGIN_RAD
    beyond = above * 1.0 - below * 1.0
    if beyond.any() and moved_m <= STEP_M:
        turn = multiply(end.orientation, last.orientation * [-1, -1, -1, 1])
        vector = 2.0 * np.sign(turn[3]) * turn[:3]  # of so small a turn
        report.outward += bool((joint_step(joints, end.position - last.position, vector) * beyond > 2e-4).any())


if __name__ == "__main__":
    began = time.perf_counter()
    report = run(int(sys.argv[1]), seed=0)
    for field in fields(report):
        print(f"{field.name:>10}  {getattr(report, field.name)}")
    microseconds = 1e6 * (time.perf_counter() - began) / report.ticks
    print(f"{microseconds:.0f} us a tick, the arm and the checks with it; broken: {', '.join(report.broken()) or 'nothing'}")
    raise SystemExit(bool(report.broken()))
