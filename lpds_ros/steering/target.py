"""The commanded pose: deltas integrate on the last command, never on the measured pose, and re-anchor when it is far.

Integrating on the measured pose would let gravity and friction drift the arm; never re-anchoring would wind the
target up against an obstacle (reference: CRISP integrates on its last target, UMI and HIL-SERL clip the lead).
"""

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.geometry import slerp, unit_near
from lpds_ros.robot.joint_box import JointBox
from lpds_ros.steering.following import Following
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.safety import Cuts, SafetyFilter, UnsafeActionError
from lpds_ros.steering.tick import PoseTarget


class Target:
    """Seeded from a measured pose, advanced by action rows, published as interpolated sub-targets."""

    def __init__(self, contract: Contract, params: SteeringParams):
        self._filter, self.cuts = SafetyFilter(contract, params), Cuts(params)
        self._joint_box = JointBox(params.joint_margin_rad, params.limits)
        self.following = Following(params.anchor_m, params.anchor_rad, params.still_m, params.still_rad)
        self._period_ns = contract.period_ns
        self._count = params.targets_per_period(contract.period_s)
        self._turns = contract.action.rotation != "none"
        self.clear()

    def clear(self):
        """Forget the pose: nothing is commanded until `seed`."""
        self._pose: tuple[np.ndarray, np.ndarray] | None = None
        self._start: tuple[np.ndarray, np.ndarray] | None = None  # where this tick's sub-targets begin
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # where the tick before ended

    @property
    def seeded(self) -> bool:
        return self._pose is not None

    def seed(self, position: np.ndarray, orientation: np.ndarray):
        """Start from this (measured) pose: position [3] m, orientation [4] xyzw.

        Seeded again in an episode, a contract without rotation keeps the orientation the episode started with.
        """
        if self._pose is not None:
            orientation = unit_near(orientation, self._pose[1]) if self._turns else self._pose[1]
        self.cuts.reset()
        self.following.reset()
        self._pose = (_frozen(position), _frozen(orientation))
        self._last = self._last or self._pose

    def advance(self, row: np.ndarray, position: np.ndarray, orientation: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Integrate one row [d_a]; position, orientation, joints: measured. Returns the row that was sent. Raises
        UnsafeActionError; then the commanded pose is as it was.

        After a re-anchoring the sent row counts from the measured pose.
        """
        base, turned = self._pose
        if self._filter.far(base, position):
            base = position
        if self._filter.turned(turned, orientation):
            turned = unit_near(orientation, turned)
        step = self._filter.step(base, turned, row)
        refusal = (
            self._joint_box.refusal(joints, step.move, step.turn)
            or self.cuts.refusal(step)
            or self.following.refusal(step.move, step.turn, position, joints)
        )
        if refusal:
            raise UnsafeActionError(refusal)
        self._pose = (_frozen(step.position), _frozen(step.orientation))
        self.hold()
        return step.sent

    def foresee(self, rows: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Position [3] m and orientation [4] xyzw after each of the rows [n, d_a], were they to run from here on; no more after
        one that cannot.
        """
        poses, pose = [], self._pose
        for row in rows:
            try:
                step = self._filter.step(*pose, row)
            except UnsafeActionError:
                break
            pose = step.position, step.orientation
            poses.append(pose)
        return tuple(poses)

    def hold(self):
        """Keep the commanded pose for this tick; after `seed`, go there within it."""
        self._start, self._last = self._last, self._pose

    def sub_targets(self, stamp_ns: int) -> tuple[PoseTarget, ...]:
        """n targets over the period that starts at `stamp_ns`; the i-th takes effect at i/n of it, the last is the
        command.

        Empty before `seed`. To be asked for after `advance` or `hold`.
        """
        if self._pose is None:
            return ()
        (start, turn_start), (end, turn_end) = self._start, self._pose
        targets = []
        for i in range(self._count):
            share = (i + 1) / self._count
            last = i + 1 == self._count
            position = end if last else start + share * (end - start)
            orientation = turn_end if last else slerp(turn_start, turn_end, share)
            targets.append(PoseTarget(stamp_ns + round(i * self._period_ns / self._count), position, orientation))
        return tuple(targets)


def _frozen(values: np.ndarray) -> np.ndarray:
    values = np.array(values, np.float64)
    values.setflags(write=False)
    return values
