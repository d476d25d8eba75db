"""A scripted operator with a person's imperfections, driving from observations alone.

It reacts late, shakes a little, aims some millimetres off, ignores the object's yaw, sometimes hesitates, and
corrects or gives up when it misses. It comes in from the left or from the right of the object: the two modes a prior should keep.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Contract, ContractError
from lpds_ros.records import Observation
from lpds_ros.sim.tasks import Task, load_task

OPEN, CLOSED = -1.0, 1.0
LAG_TICKS = 2  # how far the arm trails its target, as the operator has learned to expect
CLOSE_TICKS = 9
GRASP_HEIGHT_M = 0.018  # of the tool centre point over the table
CARRY_HEIGHT_M = 0.12
PHASE_TICKS = 45  # patience with one way-point


@dataclass(frozen=True)
class OperatorTraits:
    """(lowest, highest) of what is drawn anew for every episode, or the scale of a random draw."""

    delay_ticks: tuple[int, int] = (2, 4)
    speed: tuple[float, float] = (0.4, 1.0)  # of the largest action: some people are slow
    gain: tuple[float, float] = (0.22, 0.36)  # share of the seen distance asked for in one tick
    foresight: tuple[float, float] = (0.65, 1.0)  # 1: knows exactly where the arm will be; less: overshoots
    smoothing: float = 0.5  # share of a new intention taken up in one tick
    lateral_m: tuple[float, float] = (0.06, 0.08)
    approach_height_m: tuple[float, float] = (0.06, 0.085)  # over the object's centre, beside it
    aim_error_m: float = 0.010  # standard deviation in x and y
    noise: tuple[float, float] = (0.06, 0.18)  # standard deviation of the shake, in action units
    noise_memory: float = 0.8
    hesitation: float = 0.012  # chance per tick
    attempts: int = 3


class ScriptedOperator:
    """One operator of one task. seed: the person; rng_seed of `begin`: the episode.

    Needs the features ee_position, gripper_width and object_position. Raises ContractError when one is missing.
    """

    def __init__(self, contract: Contract, task: str | Task, seed: int, traits: OperatorTraits = OperatorTraits()):
        self.contract, self.seed, self.traits = contract, seed, traits
        self.task = load_task(task) if isinstance(task, str) else task
        self._slices = contract.feature_slices()
        for name in ("ee_position", "gripper_width", "object_position"):
            if name not in self._slices:
                raise ContractError(f"contract {contract.name}: the scripted operator needs the feature '{name}'")
        self.side = "left"

    def begin(self, observation: Observation, rng_seed: int):
        """Start an episode: draw this episode's side, speed, aim and steadiness."""
        traits, rng = self.traits, np.random.Generator(np.random.Philox(key=[self.seed, rng_seed]))
        self._rng = rng
        self._left = bool(rng.random() < 0.5)
        self.side = "left" if self._left else "right"
        self._delay = int(rng.integers(traits.delay_ticks[0], traits.delay_ticks[1] + 1))
        self._speed, self._gain = rng.uniform(*traits.speed), rng.uniform(*traits.gain)
        self._foresight, self._noise_scale = rng.uniform(*traits.foresight), rng.uniform(*traits.noise)
        self._lateral, self._height = rng.uniform(*traits.lateral_m), rng.uniform(*traits.approach_height_m)
        self._carry = np.array([0.0, 0.0, 0.0])
        if self.task.success.kind == "placed":
            self._carry[:2] = self.task.success.zone_centre_m + rng.normal(0.0, 0.008, 2)
        self._seen = deque(maxlen=self._delay + 1)
        self._sent = deque([np.zeros(3)] * (self._delay + LAG_TICKS), maxlen=self._delay + LAG_TICKS)
        self._shake, self._intent = np.zeros(3), np.zeros(3)
        self._pause, self._attempt = 0, 0
        self._start_attempt("beside")

    def _start_attempt(self, phase):
        self._attempt += 1
        self._aim = self._rng.normal(0.0, self.traits.aim_error_m, 2)
        self._enter(phase)

    def _enter(self, phase):
        self._phase, self._ticks = phase, 0

    def act(self, observation: Observation) -> tuple[np.ndarray, bool]:
        """Action float32 [d_a] in contract units for this tick, and whether the operator is done (or gave up)."""
        self._seen.append(observation)
        seen = self._seen[0].data  # a reaction time ago
        hand = seen[self._slices["ee_position"]].astype(np.float64)
        cube = seen[self._slices["object_position"]].astype(np.float64)
        width = float(seen[self._slices["gripper_width"]][0])
        scale = self.contract.action.translation_scale_m
        hand = hand + self._foresight * scale * np.sum(self._sent, axis=0)
        goal, gripper = self._decide(hand, cube, width)
        move = self._push(goal, hand, scale)
        action = np.zeros(self.contract.action.size, np.float32)
        action[:3] = move
        if self.contract.action.gripper != "none":
            action[-1] = gripper
        return action, bool(observation.success) or self._phase == "given up"

    def _push(self, goal, hand, scale):
        """Turn the way to the goal into one tick's step: bounded speed, low-passed, shaking, at times hesitating."""
        wish = self._gain * (goal - hand) / scale
        wish *= min(1.0, self._speed / max(1e-9, float(np.linalg.norm(wish))))
        if self._pause == 0 and self._rng.random() < self.traits.hesitation:
            self._pause = int(self._rng.integers(3, 9))
        if self._pause > 0:
            self._pause -= 1
            wish = np.zeros(3)
        self._intent += self.traits.smoothing * (wish - self._intent)
        memory = self.traits.noise_memory
        self._shake = memory * self._shake + np.sqrt(1.0 - memory**2) * self._rng.normal(0.0, self._noise_scale, 3)
        step = self._intent + self._shake
        step /= max(1.0, float(np.linalg.norm(step)))
        self._sent.append(step)
        return step

    def _decide(self, hand, cube, width):
        """Way-point (m) and gripper command of the phase, after moving on to the next phase where it is reached."""
        for _ in range(3):  # a reached way-point hands over within the tick
            before = self._phase
            goal, gripper = getattr(self, f"_{before.replace(' ', '_')}")(hand, cube, width)
            if self._phase == before:
                break
        self._ticks += 1
        return goal, gripper

    def _reached(self, goal, hand, tolerance_m):
        return float(np.linalg.norm(goal - hand)) < tolerance_m or self._ticks >= PHASE_TICKS

    def _beside(self, hand, cube, width):
        goal = cube + [0.0, self._lateral if self._left else -self._lateral, self._height]
        if self._reached(goal, hand, 0.02):
            self._enter("above")
        return goal, OPEN

    def _above(self, hand, cube, width):
        goal = cube + [*self._aim, 0.05]
        if self._reached(goal, hand, 0.012):
            self._enter("descend")
        return goal, OPEN

    def _descend(self, hand, cube, width):
        goal = np.array([cube[0] + self._aim[0], cube[1] + self._aim[1], GRASP_HEIGHT_M])
        if self._reached(goal, hand, 0.008):
            self._hold = goal
            self._enter("close")
        return goal, OPEN

    def _close(self, hand, cube, width):
        if self._ticks >= CLOSE_TICKS + self._delay:
            self._enter("lift" if self._holds(width) else "release")
        return self._hold, CLOSED

    def _holds(self, width):
        return abs(width - 1.15 * self.task.object.width_m) < 0.3 * self.task.object.width_m

    def _lift(self, hand, cube, width):
        goal = np.array([self._hold[0], self._hold[1], CARRY_HEIGHT_M])
        slipped = self._ticks > self._delay + 8 and cube[2] < self.task.rest_height_m + 0.01
        if slipped or not self._holds(width):
            self._enter("release")
        elif self.task.success.kind == "placed" and self._reached(goal, hand, 0.03):
            self._enter("carry over")
        return goal, CLOSED

    def _carry_goal(self, height_m):
        return np.array([self._carry[0], self._carry[1], height_m])

    def _carry_phase(self, hand, width, height_m, tolerance_m, following):
        goal = self._carry_goal(height_m)
        if not self._holds(width):
            self._enter("release")
        elif self._reached(goal, hand, tolerance_m):
            self._hold = goal
            self._enter(following)
        return goal, CLOSED

    def _carry_over(self, hand, cube, width):
        return self._carry_phase(hand, width, CARRY_HEIGHT_M, 0.015, "lower")

    def _lower(self, hand, cube, width):
        return self._carry_phase(hand, width, GRASP_HEIGHT_M + 0.004, 0.008, "let go")

    def _let_go(self, hand, cube, width):
        if self._ticks >= CLOSE_TICKS:
            self._enter("retreat")
        return self._hold, OPEN

    def _retreat(self, hand, cube, width):
        goal = self._carry_goal(CARRY_HEIGHT_M)
        if self._ticks > 2 * PHASE_TICKS:
            self._enter("given up")
        return goal, OPEN

    def _release(self, hand, cube, width):
        """Missed: open where the hand is, back off upwards, try again from above, or give up."""
        goal = np.array([hand[0], hand[1], 0.1])
        if self._ticks >= CLOSE_TICKS:
            if self._attempt >= self.traits.attempts:
                self._enter("given up")
            else:
                self._start_attempt("above")
        return goal, OPEN

    def _given_up(self, hand, cube, width):
        return hand, OPEN
