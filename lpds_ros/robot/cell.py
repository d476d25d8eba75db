"""Between two episodes on a real cell: the hand opens, the arm goes home, a person arranges the scene and says so.

After a turn that failed nothing moves again by itself: the next one first waits for a person. So does the first of a process,
which may be one that was started again after the death of another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lpds_ros.robot.homing import SPEED, TRAJECTORY, HomingRobot, home
from lpds_ros.robot.limits import ArmLimits
from lpds_ros.robot.recovery import HARDWARE, Outcome, StepError, Steps

HAND_MPS, HAND_S = 0.1, 10.0


class CellRobot(HomingRobot, Protocol):
    """The same, which also has a hand."""

    def open_hand(self, width_m: float, speed_mps: float, timeout_s: float): ...


@dataclass(frozen=True)
class Turning:
    """What a turn does. speed, back: see `home`. ask: wait for a person at its end."""

    open_hand: bool = True
    home: bool = True
    ask: bool = True
    speed: float = SPEED
    controller: str = TRAJECTORY
    back: str = ""
    hardware: str = HARDWARE


class CellTurn:
    """Runs one turn after the other. person: waits for a person's go and returns True, or False where the wait is given up;
    gets the text that tells what to do.
    """

    def __init__(
        self,
        robot: CellRobot,
        limits: ArmLimits,
        what: Turning,
        person: Callable[[str], bool],
        report: Callable[[Outcome], None] = lambda outcome: None,
    ):
        self._robot, self._limits, self._what, self._person, self._report = robot, limits, what, person, report
        self.failed, self._first = "", what.ask and (what.open_hand or what.home)

    def run(self, seed: int):
        """Everything up to the moment an episode may begin. seed: told to the person. Raises StepError, kept in `failed`."""
        if self.failed and not self._person(f"the cell was not reset: {self.failed}. Look at it, then say go on"):
            raise StepError("given up")
        if self._first and not self.failed and not self._person("the arm is about to go home: step out of its reach, say go on"):
            raise StepError("given up")
        self._first, self.failed = False, ""
        try:
            self._move()
        except StepError as error:
            self.failed = str(error)
            raise
        if self._what.ask and not self._person(f"arrange the scene (seed {seed}), step out of the arm's reach, say go on"):
            raise StepError("given up")

    def _move(self):
        step = Steps(self._report)
        if reason := self._robot.steering():
            raise StepError(f"{reason}: nothing was moved")
        if self._what.open_hand:
            step("hand", self._open)
        if self._what.home:
            what = self._what
            options = {"speed": what.speed, "controller": what.controller, "back": what.back, "hardware": what.hardware}
            home(self._robot, self._limits, report=self._report, **options)

    def _open(self) -> str:
        self._robot.open_hand(self._limits.hand_width_max_m, HAND_MPS, HAND_S)
        return "open"
