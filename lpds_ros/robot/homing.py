"""To a posture and nothing else: a slow joint trajectory, checked against the limits before anything moves.

The trajectory controller takes over for it and hands back afterwards; with another controller active, nothing that steering might
say reaches the arm meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lpds_ros.robot.kinematics import tool_jacobian
from lpds_ros.robot.limits import ArmLimits
from lpds_ros.robot.recovery import (
    HARDWARE,
    LOOK_S,
    SWITCH_S,
    Outcome,
    Robot,
    StepError,
    Steps,
    fault_of,
    settled,
)

TRAJECTORY = "fr3_arm_controller"
SPEED, SPEED_MAX = 0.1, 0.5  # of the speed that Franka suggests for each joint
PEAK = 1.875  # of a quintic from rest to rest: its highest over its mean speed
LEAST_S, STEP_S = 1.0, 0.1
DIP_M = 0.02  # how far below its lower end the tool may pass
ARRIVED_RAD = 0.02
LATE_S = 20.0
SILENT_S = 5.0


@dataclass(frozen=True)
class Path:
    """times_s [n] since the start, positions [n, 7] rad, velocities [n, 7] rad/s; the last velocity is zero."""

    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray


def straight(q: np.ndarray, goal: np.ndarray, limits: ArmLimits, speed: float = SPEED) -> Path:
    """The quintic in the joints from q to goal [7] rad, no joint faster than `speed` of what Franka suggests.

    Raises StepError when it would break a limit, or the tool would pass lower than both of its ends by more than 2 cm.
    """
    if not 0.0 < speed <= SPEED_MAX:
        raise StepError(f"speed {speed:g}: a share of the joints' speed above 0 and up to {SPEED_MAX:g}")
    for what, posture in (("the arm", q), ("the goal", goal)):
        if outside := limits.outside(posture):
            raise StepError(f"{what} is out of its limits ({outside}): guide the arm by hand, or choose another posture")
    way = goal - q
    duration = max(LEAST_S, float((PEAK * np.abs(way) / (speed * np.array(limits.suggested.velocity_max_radps))).max()))
    times = np.linspace(0.0, duration, max(2, int(np.ceil(duration / STEP_S)) + 1))[1:]
    s = (times / duration)[:, None]
    path = Path(times, q + way * s**3 * (10 - 15 * s + 6 * s**2), way * 30 * s**2 * (1 - s) ** 2 / duration)
    path.velocities[-1], path.positions[-1] = 0.0, goal
    for at, posture, dq in zip(times, path.positions, path.velocities):
        fast = (dq > limits.velocity_max(posture)) | (dq < limits.velocity_min(posture))
        if fast.any():
            i = int(fast.argmax())
            raise StepError(f"joint {i + 1} would be too fast near its limit, {dq[i]:.2f} rad/s after {at:.1f} s: go slower")
    heights = [float(tool_jacobian(posture)[0][2]) for posture in (q, *path.positions)]
    if (dip := min(heights[0], heights[-1]) - min(heights)) > DIP_M:
        raise StepError(f"on the joints' straight way the tool would pass {dip:.2f} m below both ends: guide the arm up first")
    return path


class HomingRobot(Robot, Protocol):
    """The same, which also moves."""

    def joints(self, timeout_s: float) -> np.ndarray:
        """Measured now, [7] rad."""

    def follow(self, controller: str, path: Path, timeout_s: float):
        """FollowJointTrajectory to its end; cancelled when it does not come in time or the caller is interrupted."""

    def silent(self, timeout_s: float) -> bool:
        """Whether nobody commands the arm any more, within that time."""


def home(
    robot: HomingRobot,
    limits: ArmLimits,
    *,
    goal: np.ndarray | None = None,
    speed: float = SPEED,
    controller: str = TRAJECTORY,
    back: str = "",
    hardware: str = HARDWARE,
    report: Callable[[Outcome], None] = lambda outcome: None,
):
    """Move to `goal` [7] rad (None: the limits' ready posture) and hand the arm back to whoever drove it, or to `back`.

    Raises StepError after the step that failed. A motion that failed leaves the arm to the trajectory controller, at rest.
    """
    step = Steps(report)
    goal = np.array(limits.ready_rad) if goal is None else goal
    before: list[str] = []
    path: Path | None = None

    def ready() -> str:
        nonlocal path
        if reason := robot.steering() or fault_of(robot, "", hardware):
            raise StepError(f"{reason}: nothing was moved")
        path = straight(robot.joints(LOOK_S), goal, limits, speed)
        return f"{path.times_s[-1]:.1f} s at {100 * speed:.0f} % of the joints' suggested speed"

    def take() -> str:
        nonlocal before
        known = robot.controllers(LOOK_S)
        if controller not in [c.name for c in known]:
            there = ", ".join(c.name for c in known if c.moves) or "none"
            raise StepError(f"no controller '{controller}' is loaded (there are: {there}): load a JointTrajectoryController")
        driving = [c.name for c in known if c.active and c.moves]
        before = [name for name in ([back] if back else driving) if name != controller]
        if controller in driving:
            if not robot.silent(SILENT_S):
                raise StepError(f"somebody commands {controller} already: stop who does, nothing was moved")
            return f"{controller} is active already"
        robot.switch([controller], driving, SWITCH_S)
        return f"{controller} takes over from {', '.join(driving) or 'nobody'}"

    def move() -> str:
        try:
            robot.follow(controller, path, path.times_s[-1] + LATE_S)
            off = np.abs(robot.joints(LOOK_S) - goal)
            if off.max() > ARRIVED_RAD:
                raise StepError(f"joint {int(off.argmax()) + 1} is {off.max():.3f} rad from its goal: is something in its way?")
        except StepError as error:
            raise StepError(f"{error}; {controller} stays active and holds the arm") from None
        return "at the goal"

    def give_back() -> str:
        if not before:
            return ""
        if not robot.silent(SILENT_S):
            raise StepError(
                f"somebody still commands {', '.join(before)}, which would pull the arm away: {controller} stays active. Stop "
                "who commands, then switch the controllers"
            )
        robot.switch(before, [controller], SWITCH_S)
        if reason := settled(robot, before[0], hardware):
            raise StepError(reason)
        return f"{', '.join(before)} active again"

    for name, action in (("path", ready), ("controllers", take), ("motion", move), ("controllers back", give_back)):
        step(name, action)
