"""A scripted expert of Transport: one arm opens the bin and hands the hammer over, the other empties and fills its own.

Each arm's plan is a generator that yields where its hand should be; they meet in mid-air and wait for each other by what
they see. The arms' bases look at each other along the world's y.
"""

from collections.abc import Iterator

import numpy as np

from lpds_ros.bench.robosuite_motion import CLOSED, OPEN, Hand, Servo, Traits, nearest_yaw, rotate, wrap, yaw_of

Aim = tuple[np.ndarray, float, float]  # position [3] m, yaw rad, gripper
BASE_YAWS = (np.pi / 2, -np.pi / 2)
LID_AWAY = np.array([-0.20, -0.45])
MEETING = np.array([0.0, 0.0, 1.06])  # of the hammer's handle
GIVE_M, TAKE_M = -0.055, 0.05  # grips along the handle, from its centre towards the taker
CARRY_M, DROP_M = 1.10, 0.93  # heights of the hand: over the bins' walls, and where it opens
CLOSE_TICKS, PATIENCE_TICKS = 8, 90


class Transport:
    """Both arms. traits: as of the one-arm experts."""

    traits = Traits(height_m=(0.07, 0.10), aim_error_m=0.003, turn_error_rad=0.04, noise=(0.02, 0.06))

    def __init__(self, rng: np.random.Generator, traits: Traits | None = None):
        self.traits = traits or self.traits
        self.rng = rng
        self.servos = [Servo(self.traits, rng) for _ in range(2)]
        self.held = [np.zeros(3), np.zeros(3)]  # where each hand last closed
        self.offered = self.taken = self.given = False
        self.plans = [self._giver(), self._taker()]

    def executed(self, action: np.ndarray) -> np.ndarray:
        """What the hands do where `action` [14] is intended."""
        return action

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Action float32 [14] for an observation [59]."""
        o = observation.astype(float)
        self.hands = [Hand(p[:3], p[3:7] / np.linalg.norm(p[3:7]), p[7] - p[8]) for p in (o[:9], o[9:18])]
        state = o[18:]
        self.hammer, self.trash, self.lid = state[:3], state[7:10], state[14:17]
        self.trash_yaw = yaw_of(state[10:14])
        along = rotate(state[3:7] / np.linalg.norm(state[3:7]), np.array([0.0, 0.0, 1.0]))
        self.along = along if along[1] > 0 else -along  # of the handle, towards the taker; the head is at either end
        self.bin, self.trash_bin = state[21:24], state[24:27]
        return np.concatenate([self._action(arm) for arm in range(2)])

    def _action(self, arm: int) -> np.ndarray:
        position, yaw, gripper = next(self.plans[arm])
        action = self.servos[arm].towards(self.hands[arm], position, yaw, gripper)
        turn = np.array([0.0, 0.0, np.sin(-BASE_YAWS[arm] / 2), np.cos(BASE_YAWS[arm] / 2)])
        action[:3], action[3:6] = rotate(turn, action[:3]), rotate(turn, action[3:6])
        return action

    def _giver(self) -> Iterator[Aim]:
        yield from self._pick(0, lambda: self.lid, lambda: np.pi / 2)
        yield from self._go(0, lambda: np.append(LID_AWAY, CARRY_M), CLOSED, 0.04)
        yield from self._go(0, lambda: np.append(LID_AWAY, 0.85), CLOSED)
        yield from self._release(0)
        offer = MEETING + np.array([0.0, GIVE_M, 0.0])
        while not self.taken:
            yield from self._pick(0, lambda: self.hammer + GIVE_M * self.along, self._across)
            yield from self._go(0, lambda: offer, CLOSED, 0.03, yaw=np.pi / 2)
            while not self.taken and self._near(0, self.hammer + GIVE_M * self.along):
                self.offered = True
                yield offer, np.pi / 2, CLOSED
            self.offered = False
        yield from self._release(0)
        self.given = True
        while True:
            yield np.array([0.0, -0.35, CARRY_M]), np.pi / 2, OPEN

    def _taker(self) -> Iterator[Aim]:
        yield from self._pick(1, lambda: self.trash, lambda: self.trash_yaw, np.pi / 2)
        yield from self._go(1, lambda: np.append(self.trash_bin[:2], CARRY_M), CLOSED, 0.04)
        yield from self._go(1, lambda: np.append(self.trash_bin[:2], DROP_M), CLOSED)
        yield from self._release(1)
        while not self.taken:
            while not self.offered:
                yield np.array([0.0, 0.20, MEETING[2] + 0.10]), -np.pi / 2, OPEN
            yield from self._grasp(1, lambda: self.hammer + TAKE_M * self.along, self._across)
            self.taken = self._near(1, self.hammer + TAKE_M * self.along)
        while not self.given:
            yield self.held[1], -np.pi / 2, CLOSED
        yield from self._go(1, lambda: self.held[1] + [0.0, 0.10, 0.04], CLOSED, 0.03, yaw=-np.pi / 2)
        offset = np.array([0.0, TAKE_M])
        yield from self._go(1, lambda: np.append(self.bin[:2] + offset, CARRY_M), CLOSED, 0.03, yaw=-np.pi / 2)
        yield from self._go(1, lambda: np.append(self.bin[:2] + offset, DROP_M), CLOSED, yaw=-np.pi / 2)
        while True:
            yield np.append(self.bin[:2], CARRY_M), -np.pi / 2, OPEN

    def _across(self) -> float:
        """Yaw of a hand whose fingers close across the handle."""
        return float(np.arctan2(self.along[1], self.along[0]))

    def _near(self, arm: int, point: np.ndarray) -> bool:
        return float(np.linalg.norm(self.hands[arm].position - point)) < 0.05

    def _grasp(self, arm: int, point, yaw, period: float = np.pi) -> Iterator[Aim]:
        """Above the point, down on it, and close; point, yaw: functions of what is seen now."""
        error = np.append(self.rng.normal(0.0, self.traits.aim_error_m, 2), 0.0)
        turn, height = self.rng.normal(0.0, self.traits.turn_error_rad), self.rng.uniform(*self.traits.height_m)
        over = np.array([0.0, 0.0, height])
        if point()[2] < 0.95 and self.hands[arm].position[2] < CARRY_M - 0.05:  # over the bin's wall first
            over = over + [0.0, 0.0, 0.10]
        heading = nearest_yaw(yaw_of(self.hands[arm].orientation), yaw(), period) + turn
        yield from self._go(arm, lambda: point() + error + over, OPEN, 0.02, yaw=heading)
        yield from self._go(arm, lambda: point() + error, OPEN, 0.012, yaw=heading)
        self.held[arm] = self.hands[arm].position.copy()
        for _ in range(CLOSE_TICKS):
            yield self.held[arm], heading, CLOSED

    def _pick(self, arm: int, point, yaw, period: float = np.pi) -> Iterator[Aim]:
        """Grasp, and straight up over the bins' walls; again until it came along."""
        while True:
            yield from self._grasp(arm, point, yaw, period)
            heading = yaw_of(self.hands[arm].orientation)
            for _ in range(PATIENCE_TICKS):
                height = self.hands[arm].position[2]
                if height > CARRY_M - 0.03:
                    break
                # little by little: at full speed the hand drifts towards its base, and what it holds into the wall
                yield np.append(self.held[arm][:2], min(height + 0.025, CARRY_M)), heading, CLOSED
            if self._near(arm, point()):
                return

    def _go(self, arm: int, aim, gripper: float, tolerance_m: float = 0.025, yaw: float | None = None) -> Iterator[Aim]:
        """Until the hand is there and turned, or patience ends. yaw: kept as it is when not given."""
        heading = yaw_of(self.hands[arm].orientation) if yaw is None else yaw
        for _ in range(PATIENCE_TICKS):
            near = float(np.linalg.norm(aim() - self.hands[arm].position)) < tolerance_m
            if near and abs(wrap(heading - yaw_of(self.hands[arm].orientation))) < 0.15:
                return
            yield aim(), heading, gripper

    def _release(self, arm: int) -> Iterator[Aim]:
        """Open, and rise."""
        at, heading = self.hands[arm].position.copy(), yaw_of(self.hands[arm].orientation)
        for tick in range(14):
            yield at + [0.0, 0.0, 0.0 if tick < 4 else 0.15], heading, OPEN
