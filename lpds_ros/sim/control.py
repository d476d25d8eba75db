"""Who drives the arm: one control mode at a time, switched by the last command that was obeyed.

cartesian_pose: the Cartesian impedance law follows pose targets. joint_trajectory: the joint law follows a trajectory.
joint_group_position: the joint law goes to joint positions. joint_impedance: a softer joint law is told its reference. brake:
the joints are stopped and held where they are, until the next command. A switch never makes a jump: the new law starts from the
measured state, and the torque goes on from where it was within the new law's rate limit.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from lpds_ros.sim.follow import Ending, Follower, Progress, Tolerances
from lpds_ros.sim.joint_law import ARM, EFFORT_CONTROLLER, IMPEDANCE_CONTROLLER, INTERNAL_CONTROLLER
from lpds_ros.sim.rotation import checked_target
from lpds_ros.sim.trajectory import (
    SPEED_MAX,
    TICK_S,
    Outcome,
    Spline,
    TrajectoryError,
    Waypoint,
    checked_positions,
    checked_velocities,
)

LOAD_MAX_KG = 3.0  # the FR3's payload
ACCELERATION = 10.0  # rad/s², the limit of every joint
REST_RADPS = 0.01


class Mode(StrEnum):
    """What drives the arm."""

    CARTESIAN = "cartesian_pose"
    TRAJECTORY = "joint_trajectory"
    POSITION = "joint_group_position"
    IMPEDANCE = "joint_impedance"
    BRAKE = "brake"


class ArmControl:
    """The arm's controllers over one plant. `update` runs once a millisecond, in MuJoCo after mj_step1.

    cartesian, joint: the two laws (impedance.py and joint_law.py). plant: the arm they drive (plant.py). The mock robot has
    laws and an arm of its own (robot/loopback.py), under the same modes.
    """

    def __init__(self, cartesian, joint, plant):
        self.cartesian, self.joint, self._plant = cartesian, joint, plant
        self._internal = INTERNAL_CONTROLLER
        self._q, self._dq = plant.q, plant.dq
        self.load = (0.0, (0.0, 0.0, 0.0))
        self._number, self._goal, self._follower = 0, np.zeros(ARM), None
        self._endings: dict[int, Ending] = {}
        self.mode = Mode.CARTESIAN
        self._step = self.cartesian.update

    def update(self):
        """One millisecond of the law in charge."""
        self._step()
        if self.load[0]:
            self._plant.carry(*self.load)

    # -- commands -----------------------------------------------------------------------------------------------

    def set_target(self, position, orientation):
        """Pose target [3] m, [4] xyzw; takes the arm over. Raises ValueError unless finite."""
        if self.mode is not Mode.CARTESIAN:
            checked_target(position, orientation)
            self._take_over(Mode.CARTESIAN, "a pose target took the arm over")
        self.cartesian.set_target(position, orientation)

    def set_positions(self, q: Sequence[float]):
        """Go to joint positions [7] rad, no faster than the joints may move; takes the arm over.

        Raises TrajectoryError on a wrong number of joints or a position that is forbidden.
        """
        goal = checked_positions(q)
        self._take_over(Mode.POSITION, "joint positions took the arm over")
        self._goal[:] = goal

    def set_joints(self, q: Sequence[float], dq: Sequence[float] = ()):
        """Reference of the joint impedance law: positions [7] rad and velocities [7] rad/s (empty: zero); takes the arm over.

        Raises TrajectoryError as `set_positions`, and for velocities that are not seven finite numbers.
        """
        goal, speed = checked_positions(q), checked_velocities(dq)
        self._take_over(Mode.IMPEDANCE, "a joint target took the arm over")
        self.joint.position[:], self.joint.velocity[:] = goal, speed

    def follow(
        self,
        waypoints: Sequence[Waypoint],
        tolerances: Tolerances | None = None,
        *,
        elapsed_s: float = 0.0,
        judged: bool = True,
        from_desired: bool = False,
    ) -> int:
        """Follow a trajectory in place of any other; takes the arm over. Returns the goal's number.

        elapsed_s: time since the trajectory's start, negative before it. judged: how it ends is kept for `take_endings`.
        from_desired: lead in from the present reference, not from the measured state (for trajectories sent piece by
        piece). Raises TrajectoryError when it breaks a limit or is over already; nothing has changed then.
        """
        if elapsed_s > waypoints[-1].time_s:
            late = elapsed_s - waypoints[-1].time_s
            text = f"the trajectory ended {late:.3f} s ago by its header's stamp: send a newer one, or stamp 0 for now"
            raise TrajectoryError(Outcome.OLD_HEADER_TIMESTAMP, text)
        position, velocity = self._q.copy(), self._dq.copy()
        if from_desired and self.mode not in (Mode.CARTESIAN, Mode.BRAKE):
            position, velocity = self.joint.position.copy(), self.joint.velocity.copy()
        spline = Spline(Waypoint(elapsed_s, position, velocity), waypoints)
        spline.check()
        self._take_over(Mode.TRAJECTORY, "a newer trajectory took the arm over")
        self._number += 1
        self._follower = Follower(self._number, spline, tolerances or Tolerances(), judged)
        return self._number

    def hold(self, number: int):
        """Cancel goal `number` where it is under way: stay where the arm is."""
        if self._follower is not None and self._follower.number == number:
            self._end(Ending(Outcome.SUCCESSFUL, "canceled", canceled=True))
            self.joint.hold()

    def stop(self, text: str, posture=None):
        """End what is under way, for the reason `text`, and rest at the measured pose under the Cartesian law, torque-free.

        posture [7] rad: where its null space rests from now on; None: where it did.
        """
        self._end(Ending(Outcome.INVALID_GOAL, text))
        self._plant.release_brakes()
        self.mode, self._step = Mode.CARTESIAN, self.cartesian.update
        self.cartesian.reset(posture)

    def brake(self, text: str):
        """End what is under way, for the reason `text`, stop every joint and hold it there until the next command."""
        if self.mode is not Mode.BRAKE:
            self._end(Ending(Outcome.INVALID_GOAL, text))
            self._plant.close_brakes()
            self.mode, self._step = Mode.BRAKE, self._brake

    def set_joint_stiffness(self, stiffness):
        """Stiffness [7] Nm/rad behind joint positions: the robot's own controller, not the one of trajectories (libfranka:
        torques of a user's controller are not affected). Raises ValueError out of the robot's range.
        """
        self._internal = INTERNAL_CONTROLLER.with_stiffness(stiffness)
        if self.mode is Mode.POSITION:
            self.joint.use(self._internal)

    def set_load(self, mass_kg: float, centre_m: Sequence[float], inertia: Sequence[float] = (0.0,) * 9):
        """What the hand carries: its weight is held from now on. Mass kg, centre of mass [3] m in the flange's frame.

        inertia [9] kg m²: checked only. Raises ValueError unless all is finite and the arm can carry the mass.
        """
        centre = np.array(centre_m, np.float64)
        if not (0.0 <= mass_kg <= LOAD_MAX_KG and np.isfinite(centre).all() and np.isfinite(inertia).all()):
            raise ValueError(f"load: the mass must lie in [0, {LOAD_MAX_KG:g}] kg, centre and inertia be finite")
        self.load = mass_kg, tuple(centre.tolist())

    def engage(self, mode: Mode, text: str):
        """This law is in charge from now on and keeps the arm where it is; what was under way ends for the reason `text`."""
        self._take_over(mode, text)
        if mode is not Mode.CARTESIAN:
            self.joint.hold()
            self._goal[:] = self.joint.position

    # -- what there is to see -----------------------------------------------------------------------------------

    @property
    def following(self) -> bool:
        """Whether a trajectory is under way."""
        return self._follower is not None

    @property
    def progress(self) -> Progress | None:
        """The goal under way whose end somebody waits for."""
        leader = self._follower
        if leader is None or not leader.judged:
            return None
        desired = self.joint.position.copy(), self.joint.velocity.copy()
        return Progress(leader.number, leader.time_s, desired, (self._q.copy(), self._dq.copy()))

    def take_endings(self) -> dict[int, Ending]:
        """Goals that ended since the last call, by number."""
        endings, self._endings = self._endings, {}
        return endings

    def desired_positions(self) -> np.ndarray:
        """q_d [7] rad as the robot reports it: the reference of a position command, else, under torques, the measured."""
        return (self.joint.position if self.mode is Mode.POSITION else self._q).copy()

    def desired_pose(self):
        """Position and orientation the Cartesian law pulls to; measured ones while the joint law is in charge."""
        return self.cartesian.filtered if self.mode is Mode.CARTESIAN else self.cartesian.measured()

    # -- inside -------------------------------------------------------------------------------------------------

    def _take_over(self, mode, reason):
        self._end(Ending(Outcome.INVALID_GOAL, f"Current goal preempted: {reason}"))
        if mode is self.mode:
            return
        if self.mode in (Mode.CARTESIAN, Mode.BRAKE):
            self.joint.hold()
        self._plant.release_brakes()
        self.mode = mode
        if mode is Mode.CARTESIAN:
            self.cartesian.engage()
            self._step = self.cartesian.update
        elif mode is Mode.TRAJECTORY:
            self.joint.use(EFFORT_CONTROLLER)
            self._step = self._follow
        elif mode is Mode.IMPEDANCE:
            self.joint.use(IMPEDANCE_CONTROLLER)
            self._step = self.joint.update
        else:
            self.joint.use(self._internal)
            self._step = self._approach

    def _end(self, ending):
        leader, self._follower = self._follower, None
        if leader is not None and leader.judged:
            self._endings[leader.number] = ending

    def _follow(self):
        joint = self.joint
        if self._follower is not None:
            ending = self._follower.advance(self._q, self._dq, joint.position, joint.velocity)
            if ending is not None:
                self._end(ending)
                if ending.outcome is not Outcome.SUCCESSFUL:
                    joint.hold()
        joint.update()

    def _approach(self):
        """Lead the reference to the goal, each joint as fast as its speed and acceleration limits allow it to stop there."""
        joint, step = self.joint, ACCELERATION * TICK_S
        way = self._goal - joint.position
        speed = np.minimum(SPEED_MAX, np.sqrt(2.0 * ACCELERATION * np.abs(way)))
        speed = np.minimum(speed, np.abs(way) / TICK_S) * np.sign(way)
        joint.velocity += np.clip(speed - joint.velocity, -step, step)
        joint.position += joint.velocity * TICK_S
        joint.update()

    def _brake(self):
        """The brakes' own friction stops the joints; where they have stopped, the Cartesian law holds them."""
        if np.abs(self._dq).max() > REST_RADPS:
            self.cartesian.engage()
        self.cartesian.update()
