"""Demonstrations from recorded pose targets: what was commanded, tick by tick, is the action; what was seen is the Aligner's.

The Aligner is given the samples by their stamps and asked at the contract's rate from the first target on. A tick's action is
the step from the target that stood at it to the one that stands when the next begins, as steering makes targets of actions; the
first step is from the measured pose, and so is one that is possible only from there: the target was taken back to the arm.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lpds_ros.config import ConfigError
from lpds_ros.contract import Contract
from lpds_ros.data.demonstration import DemoError, Demonstration
from lpds_ros.data.streams import JOINTS, RawMessage, header_stamp
from lpds_ros.geometry import conjugate, multiply, to_rotation_vector
from lpds_ros.perception.align import TASK_AGE, Aligner
from lpds_ros.records import Episode, Observation

NUMBERS = ("std_msgs/msg/Float32", "std_msgs/msg/Float64", "std_msgs/msg/Bool")  # of a gripper's command, without a header
LEAD_IN_NS = 2_000_000_000  # of samples before an episode: more than any of them may be old
MOVED_M = 0.0005  # of the fingers in a tick


@dataclass(frozen=True)
class BagSource:
    """How another recorder's bag is to be understood (a YAML).

    command: topic of the pose targets, geometry_msgs/PoseStamped in the base frame. topics: streams of the contract that were
    recorded from another topic than its own. gripper: topic of the gripper's command (Float32, Float64, Bool, or the position
    of a JointState), opened and closed its ends; without it the fingers' own movement tells. assume_success: every episode
    counts as a success; otherwise the task's state, or lpds/episode, tells. clip: cut steps
    that are larger than the contract's action 1.
    """

    command: str = "target_pose"
    topics: dict[str, str] = field(default_factory=dict)
    gripper: str = ""
    opened: float = 0.08
    closed: float = 0.0
    assume_success: bool = False
    clip: bool = False

    def __post_init__(self):
        if self.opened == self.closed:
            raise ConfigError("opened and closed are the two ends of the gripper's command: they must differ")


class Taken(NamedTuple):
    """A demonstration without its pictures, and of each stream of images the stamp of every tick's picture."""

    demo: Demonstration
    pictures: dict[str, list[int]]


def gripper_value(message: RawMessage, content) -> tuple[int, float]:
    """(stamp_ns, value) of a gripper's command. Raises DemoError for a type that is none."""
    if message.typename == JOINTS:
        return header_stamp(message), float(np.sum(content.position))
    if message.typename in NUMBERS:
        return message.log_ns, float(content.data)
    raise DemoError(f"{message.topic} is {message.typename}; a gripper's command is {', '.join((*NUMBERS, JOINTS))}")


def commanded(recording, bag: BagSource, where: str) -> Iterator[Taken]:
    """Every successful episode: from mark to mark (lpds/episode), or the whole bag. Raises DemoError, saying what is missing."""
    contract, targets = recording.contract, sorted(recording.targets, key=lambda target: target[0])
    wanted = {name: bag.topics.get(name, stream.topic) for name, stream in contract.streams.items()}
    absent = [f"'{name}' ({topic})" for name, topic in wanted.items() if name not in recording.samples]
    if absent:
        raise DemoError(f"{where}: nothing of stream {', '.join(absent)}; recorded from another topic? Say so in topics")
    if not targets:
        raise DemoError(f"{where}: no pose target on '{bag.command}'; name their topic with command")
    episodes = sorted((record for _, record in recording.log if isinstance(record, Episode)), key=lambda e: e.stamp_ns)
    if not (episodes or bag.assume_success or recording.samples.get(TASK_AGE)):
        raise DemoError(f"{where}: nothing says whether it succeeded: assume_success: true in the mapping, if it did")
    arrived = {name: sorted(part, key=lambda one: one.stamp_ns) for name, part in recording.samples.items()}
    begin_ns = max(part[0].stamp_ns for name, part in arrived.items() if name != TASK_AGE)
    for episode in episodes or [None]:
        end_ns = episode.stamp_ns if episode else targets[-1][0] + contract.period_ns
        between = [target for target in targets if begin_ns <= target[0] < end_ns]
        if between:
            taken = _Episode(contract, arrived, between, sorted(recording.gripper), bag, where).taken(end_ns, episode)
            if taken is not None:
                yield taken
        begin_ns = end_ns


class _Episode:
    def __init__(self, contract: Contract, arrived, targets, gripper, bag: BagSource, where: str):
        self._contract, self._targets, self._gripper, self._bag = contract, targets, gripper, bag
        self._start_ns, self._where = targets[0][0], where
        self._target_ns = [stamp for stamp, _, _ in targets]
        self._waiting = []
        for part in arrived.values():
            self._waiting += part[bisect_left(part, self._start_ns - LEAD_IN_NS, key=lambda one: one.stamp_ns) :]
        self._waiting.sort(key=lambda one: one.stamp_ns, reverse=True)

    def taken(self, end_ns: int, episode: Episode | None) -> Taken | None:
        """None where it did not succeed."""
        period_ns, contract = self._contract.period_ns, self._contract
        ticks = (end_ns - self._start_ns) // period_ns
        aligner, seen = Aligner(contract), []
        for tick in range(ticks + 1):
            now_ns = self._start_ns + tick * period_ns
            while self._waiting and self._waiting[-1].stamp_ns <= now_ns:
                self._waiting.pop().push(aligner)
            live = aligner.observe(now_ns)
            if not live.valid and tick < ticks:
                raise DemoError(f"{self._where}: {tick * contract.period_s:.2f} s after its first target: {live.reason}")
            seen.append(live)
        success = episode.success if episode else self._bag.assume_success or any(live.success for live in seen[1:])
        if not ticks or not success:
            return None
        rewards = np.array([live.reward for live in seen[1:]], np.float32)
        if not rewards.any():
            rewards[-1] = 1.0
        demo = Demonstration(
            observations=np.array([live.data for live in seen[:-1]]),
            actions=self._actions(seen),
            rewards=rewards,
            success=True,
            seed=episode.seed if episode else 0,
            final_observation=seen[-1].data if seen[-1].valid else None,
        )
        names = {name: [live.stamp_ns - round(live.ages_s[name] * 1e9) for live in seen[:-1]] for name in contract.images}
        return Taken(demo, names)

    def _actions(self, seen: list[Observation]) -> np.ndarray:
        """float32 [T, d_a]."""
        action, steps = self._contract.action, []
        position, orientation = seen[0].position, seen[0].orientation
        for before, live in zip(seen, seen[1:]):
            _, there, turned = self._targets[bisect_left(self._target_ns, live.stamp_ns) - 1]
            if np.abs(there - position).max() > action.translation_scale_m >= np.abs(there - before.position).max():
                position = before.position
            step = [(there - position) / action.translation_scale_m]
            if action.rotation != "none":
                step.append(to_rotation_vector(multiply(turned, conjugate(orientation))) / action.rotation_scale_rad)
            steps.append(np.concatenate(step))
            position, orientation = there, turned
        steps = np.array(steps)
        largest = float(np.abs(steps).max())
        if largest > 1.0 + 1e-6 and not self._bag.clip:
            tick = int(np.abs(steps).max(axis=1).argmax())
            raise DemoError(
                f"{self._where}: the step at {tick * self._contract.period_s:.2f} s is {largest:.3g} times the contract's "
                f"largest ({action.translation_scale_m:g} m a tick): take a contract with larger ones, or cut: clip: true"
            )
        steps = np.clip(steps, -1.0, 1.0)
        if action.gripper != "none":
            steps = np.concatenate([steps, self._grips(seen)[:, None]], axis=1)
        return steps.astype(np.float32)

    def _grips(self, seen: list[Observation]) -> np.ndarray:
        """[T] in [-1, 1], positive closes: of its command where that was recorded, else of where the fingers go."""
        if not self._bag.gripper:
            return self._moves(seen)
        if not self._gripper:
            raise DemoError(f"{self._where}: nothing on '{self._bag.gripper}', which is to be the gripper's command")
        stamps, found = [stamp for stamp, _ in self._gripper], []
        for live in seen[1:]:
            _, value = self._gripper[max(0, bisect_left(stamps, live.stamp_ns) - 1)]
            found.append(2.0 * (value - self._bag.opened) / (self._bag.closed - self._bag.opened) - 1.0)
        return np.clip(found, -1.0, 1.0)

    def _moves(self, seen: list[Observation]) -> np.ndarray:
        widths = np.array([live.gripper_width for live in seen])
        wish, found = -1.0 if widths[0] > 0.5 * np.nanmax(widths) else 1.0, []
        for tick in range(len(seen) - 1):
            moved = widths[tick + 1] - widths[tick]
            if abs(moved) > MOVED_M:
                wish = -1.0 if moved > 0 else 1.0
            found.append(wish)
        return np.array(found)
