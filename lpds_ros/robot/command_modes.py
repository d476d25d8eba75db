"""The ways to command an arm, one class each behind one interface: the core's pose targets in, what the controller obeys out.

`send` gives the commands of a control period, `hold` what is said when commanding pauses, `stop` the last words. Nothing is
published here: in real time a thread says the targets at their time, in lockstep all at once.

A mode in joints solves for the pose at a period's end; between two ends the joints move evenly, over so short a way that the
tool leaves the straight line by less than 0.1 mm. It starts from the measured joints whenever the core's target starts from the
measured pose, and goes on from the last command otherwise, so that neither gravity nor friction lets the arm creep.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from lpds_ros.records import Mode, Observation
from lpds_ros.robot.inverse import InverseKinematics, TrackingError
from lpds_ros.robot.limits import ArmLimits
from lpds_ros.robot.targets import JointPath, JointTarget, PoseTarget, PositionTarget, Target
from lpds_ros.sim.trajectory import Spline, Waypoint

LEAD_MAX_RAD = 0.5  # of a joint's command over what is measured; the tool's, at most steering's anchors, needs less
Pose = tuple[np.ndarray, np.ndarray]  # position [3] m and orientation [4] xyzw
NO_GROUP_POSITION = (
    "command_mode joint_group_position is refused on a real Franka: its position interface takes what a 1 kHz generator makes, "
    "and answers a stream of targets with velocity and acceleration discontinuity reflexes (franka_ros2 issues 55, 168, 174 and "
    "186). Use cartesian_pose, joint_impedance or joint_trajectory; allow_group_position:=true for an arm that can take it"
)


class CommandMode(ABC):
    """One way to command an arm.

    streamed: the commands of a period are said one after the other, at their moments; else all at once. looks_ahead: `send` is
    to be told the poses that follow. refusal: why the last pose could not be commanded, or "".
    """

    streamed, looks_ahead, refusal = True, False, ""

    @abstractmethod
    def send(
        self, targets: tuple[PoseTarget, ...], mode: Mode, observation: Observation, ahead: tuple[Pose, ...] = ()
    ) -> tuple[Target, ...]:
        """The commands of one control period for a tick's targets (none: nothing is commanded, and what was is forgotten).

        mode: of the tick. observation: what it was made from. ahead: poses at the ends of the following periods, as far as the
        running chunk knows them.
        """

    @abstractmethod
    def hold(self, stamp_ns: int) -> tuple[Target, ...]:
        """What has to be said so that the arm stays when the targets end, between two episodes."""

    @abstractmethod
    def stop(self, stamp_ns: int, observation: Observation) -> tuple[Target, ...]:
        """Last words: stay where `observation` says the arm is."""

    def seen(self, observation: Observation) -> Observation:
        """The observation, made invalid when the command before it was refused: the core holds for that reason, and starts
        again from the measured pose.
        """
        reason, self.refusal = self.refusal, ""
        return replace(observation, valid=False, reason=reason) if reason and observation.valid else observation


class CartesianPose(CommandMode):
    """Pose targets for a Cartesian impedance controller, as the core gives them."""

    def send(self, targets, mode, observation, ahead=()):
        return targets

    def hold(self, stamp_ns):
        """Nothing: the last target stays."""
        return ()

    def stop(self, stamp_ns, observation):
        return (PoseTarget(stamp_ns, observation.position, observation.orientation),)


class JointImpedance(CommandMode):
    """Joint references for a joint impedance controller; the base of all modes in joints."""

    def __init__(self, inverse: InverseKinematics, period_s: float):
        self._inverse, self._period_s = inverse, period_s
        self._forget()

    def _forget(self):
        self._q: np.ndarray | None = None  # commanded for the end of the last period
        self._posture, self._driving, self._relieved = None, False, False

    def send(self, targets, mode, observation, ahead=()):
        if not targets:
            self._forget()
            return ()
        before, fresh = self._q, False
        stopped, drives = mode in (Mode.STOP, Mode.FAULT), mode in (Mode.RUN, Mode.PRIOR)
        seen = observation.valid and np.isfinite(observation.joints).all()
        # Joints far from where they were commanded are a fault of who measures them: no stop goes there.
        near = before is None or drives or np.abs(observation.joints - before).max() <= LEAD_MAX_RAD
        if seen and near and (before is None or (drives and not self._driving) or (stopped and not self._relieved)):
            self._start(np.array(observation.joints, np.float64))
            fresh = True
        if self._q is None:
            return ()
        before = self._q if before is None else before
        self._driving, self._relieved = drives, stopped and (fresh or self._relieved)
        if drives:
            try:
                self._q = self._inverse.step(self._q, targets[-1].position, targets[-1].orientation, self._posture)
            except TrackingError as error:
                self.refusal, self._driving = str(error), False
        return self._commands(tuple(t.stamp_ns for t in targets), before, ahead if self._driving else ())

    def _start(self, joints: np.ndarray):
        self._q = self._posture = joints

    def _commands(self, stamps: tuple[int, ...], before: np.ndarray, ahead: tuple[Pose, ...]) -> tuple[Target, ...]:
        """Targets at these moments of the period, from `before` [7] rad to the joints commanded for its end."""
        fastest = self._inverse.speed_max_radps  # a start from the measured joints may be a jump: no velocity of it
        velocity = np.clip((self._q - before) / self._period_s, -fastest, fastest)
        shares = [(i + 1) / len(stamps) for i in range(len(stamps))]
        return tuple(
            self._target(stamp_ns, self._q if share == 1.0 else before + share * (self._q - before), velocity)
            for stamp_ns, share in zip(stamps, shares)
        )

    def _target(self, stamp_ns: int, q: np.ndarray, velocity: np.ndarray) -> Target:
        return JointTarget(stamp_ns, q, velocity)

    def hold(self, stamp_ns):
        """The last joints once more, at rest."""
        if self._q is None:
            return ()
        q = self._q
        self._forget()
        return (self._target(stamp_ns, q, np.zeros(7)),)

    def stop(self, stamp_ns, observation):
        return (self._target(stamp_ns, np.array(observation.joints, np.float64), np.zeros(7)),)


class JointGroupPosition(JointImpedance):
    """Joint positions for the position interface. Not for a real Franka: see NO_GROUP_POSITION."""

    def _target(self, stamp_ns, q, velocity):
        return PositionTarget(stamp_ns, q)


class JointTrajectory(JointImpedance):
    """Each tick a trajectory: this period's end, the rows of the chunk that follow, and the way to rest. The next tick's takes
    its place; where none comes any more, the arm runs to the chunk's end and rests.
    """

    streamed, looks_ahead = False, True

    def __init__(self, inverse: InverseKinematics, period_s: float, acceleration_radps2: np.ndarray):
        super().__init__(inverse, period_s)
        self._acceleration = acceleration_radps2

    def _forget(self):
        super()._forget()
        self._velocity = np.zeros(7)  # of the reference
        self._course: tuple[int, Spline] | None = None  # what the controller was told last, and when
        self._back: np.ndarray | None = None  # measured joints, where a stop goes to

    def send(self, targets, mode, observation, ahead=()):
        if not targets:  # the robot is in error, or its controller inactive: what it may still follow must not go on
            return self.hold(observation.stamp_ns)
        self._catch_up(targets[0].stamp_ns)
        return super().send(targets, mode, observation, ahead)

    def _catch_up(self, stamp_ns: int):
        """Go on from where the controller's reference is by now: over missed ticks it has run on along the rows that follow, and
        would be torn back to the last one that was commanded.
        """
        if self._course is not None:
            began_ns, spline = self._course
            self._q, self._velocity = spline.sample(max(self._period_s, (stamp_ns - began_ns) * 1e-9))

    def _path(self, stamp_ns: int, before: np.ndarray, velocity: np.ndarray, *points: np.ndarray) -> tuple[Target, ...]:
        """A path: times_s [n], position [n, 7], velocity [n, 7], from a reference [7] rad and the velocity [7] rad/s it has."""
        self._course = stamp_ns, Spline(Waypoint(0.0, before, velocity), [Waypoint(*point) for point in zip(*points)])
        return (JointPath(stamp_ns, *points),)

    def _start(self, joints):
        super()._start(joints)
        self._back = joints

    def _commands(self, stamps, before, ahead):
        way, begun = [self._q], self._velocity
        for position, orientation in ahead:
            try:
                way.append(self._inverse.step(way[-1], position, orientation, self._posture))
            except TrackingError:  # it is only foreseen: said when its tick has come
                break
        if not self._driving:
            return self._braked(stamps[0], before)
        self._back = None
        # A start from the measured joints may be farther than a period's way.
        first = max(self._period_s, float(np.max(np.abs(way[0] - before) / self._inverse.speed_max_radps)))
        times = first + self._period_s * np.arange(len(way))
        path = np.array([before, *way])
        steps = np.diff(path, axis=0) / np.diff([0.0, *times])[:, None]
        velocity = np.array([*(0.5 * (steps[:-1] + steps[1:])), steps[-1]])  # of neighbours; the last row's own
        rest, braking_s = self._rest(path[-1], velocity[-1])
        times, path = np.append(times, times[-1] + braking_s), np.vstack([path[1:], rest])
        return self._path(stamps[0], before, begun, times, path, np.vstack([velocity, np.zeros(7)]))

    def _braked(self, stamp_ns, before):
        """From where the reference is to where its speed can be given up, or back to the joints that a stop has measured."""
        begun = self._velocity
        rest, braking_s = self._rest(before, begun)
        if self._back is not None:
            rest, braking_s = self._back, self._returning_s(np.abs(self._back - before), np.abs(begun))
        self._q, self._velocity = rest, np.zeros(7)
        return self._path(stamp_ns, before, begun, np.array([braking_s]), rest[None], np.zeros((1, 7)))

    def _returning_s(self, way, speed) -> float:
        """How long a cubic takes from `speed` [7] rad/s to rest `way` [7] rad behind, where its acceleration begins, and is the
        largest: 6 way / T² + 4 speed / T.
        """
        a = self._acceleration
        return max(self._period_s, float(np.max((2.0 * speed + np.sqrt(4.0 * speed**2 + 6.0 * a * way)) / a)))

    def _rest(self, q, velocity):
        """Where even braking from `velocity` [7] rad/s at q [7] rad ends, and how long it takes: a period, or what is needed."""
        braking_s = max(self._period_s, float(np.max(np.abs(velocity) / self._acceleration)))
        return q + 0.5 * braking_s * velocity, braking_s

    def hold(self, stamp_ns):
        if self._q is None:
            return ()
        self._catch_up(stamp_ns)
        commands = self._braked(stamp_ns, self._q)
        self._forget()
        return commands

    def stop(self, stamp_ns, observation):
        self._catch_up(stamp_ns)
        self._back = np.array(observation.joints, np.float64)
        return self._braked(stamp_ns, self._back if self._q is None else self._q)


COMMAND_MODES = {
    "cartesian_pose": CartesianPose,
    "joint_impedance": JointImpedance,
    "joint_trajectory": JointTrajectory,
    "joint_group_position": JointGroupPosition,
}
# The controller that obeys each: crisp_controllers' two, the trajectory controller of franka_fr3_moveit_config, and the one of
# ros2_controllers on the position interface.
CONTROLLERS = {
    "cartesian_pose": "cartesian_impedance_controller",
    "joint_impedance": "joint_impedance_controller",
    "joint_trajectory": "fr3_arm_controller",
    "joint_group_position": "forward_position_controller",
}


def make_command_mode(
    name: str, limits: ArmLimits, *, period_s: float, margin_rad: float, lag_m: float, lag_rad: float
) -> CommandMode:
    """The mode of this name for an arm; see InverseKinematics for the numbers."""
    kind = COMMAND_MODES[name]
    if kind is CartesianPose:
        return CartesianPose()
    inverse = InverseKinematics(limits, period_s=period_s, margin_rad=margin_rad, lag_m=lag_m, lag_rad=lag_rad)
    if kind is JointTrajectory:
        return JointTrajectory(inverse, period_s, np.array(limits.joints.acceleration_max_radps2))
    return kind(inverse, period_s)
