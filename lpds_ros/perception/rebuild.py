"""Observations made again from recorded streams, by the Aligner that made the live ones: bit for bit, or the difference is named.

Which samples had arrived when a live observation was made depends on the network and the scheduler. The observation says it: its
ages are those of the samples it holds, and a float32 of up to a second tells stamps apart that are a microsecond apart. So each
stream is handed to a fresh Aligner in the order of its arrival, up to the sample that the observation names, and no further. Of
pictures, and of what went with them, only samples that some observation names: perception may have had no others.
"""

import dataclasses
import math
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Contract, require_same_contract
from lpds_ros.data.definitions import Definitions
from lpds_ros.data.demonstration import DemoError
from lpds_ros.data.streams import OBSERVATION, decoded, describe, raw_messages, stamp_of
from lpds_ros.perception.align import PICTURED, Aligner
from lpds_ros.perception.feed import Encode, Sample, Sources, sample
from lpds_ros.perception.robot import RobotWatch
from lpds_ros.records import Observation

ROBOT_MAX_AGE_S = 0.2  # the perception node's default
LATE_NS = 1_000_000_000  # a sample may be recorded so long after the observation that holds it
SAMPLES_HELD, IMAGES_HELD = 20_000, 240  # of a stream, until one is named: 20 s at 1 kHz, 8 s at 30 Hz
KEPT = 4096  # stamps of a stream that were pushed last: more than any Aligner holds
NOT_COMPARED = ("encode_s",)  # the time that it took then
HINT = re.compile(r"; its last sample was refused: [^;]*")  # of a sample that is in no observation: when it came is not known


@dataclass(frozen=True)
class Rebuilt:
    """A live observation and the one made of the recording.

    missing: samples it holds that the recording lacks; then there is nothing to compare. differences: names of fields.
    """

    live: Observation
    again: Observation
    missing: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


def rebuild(path, contract: Contract | None = None, encode: Encode | None = None) -> Iterator[Rebuilt]:
    """Every observation of a recording after the first one whose samples are all in it.

    encode: the encoders that saw its pictures; None: there were none (perception without a bundle). Raises DemoError for what the
    streams node did not record, ContractError for observations of another contract.
    """
    described = describe(path)
    contract = contract or described.contract
    if contract is None or "clock" not in described.values:
        raise DemoError(f"{path}: not recorded by the streams node (record_streams:=true): nothing live to compare with")
    robot_topic, definitions = described.values.get("robot_state_topic", ""), Definitions()
    sources = Sources(contract, robot_topic)
    again = Rebuilder(contract, robot_topic, exact=described.values["clock"] == "lockstep")
    waiting: deque[tuple[int, Observation]] = deque()

    def wanted(topic, typename):
        return typename == OBSERVATION or bool(sources.names(topic, typename))

    for message in raw_messages(path, definitions, wanted=wanted):
        while waiting and message.log_ns - waiting[0][0] > LATE_NS:
            yield from again.compared([live for _, live in waiting])
            waiting.popleft()
        content = decoded(definitions, message)
        if message.typename == OBSERVATION:
            waiting.append((message.log_ns, observation_of(content, contract)))
        for name in sources.names(message.topic, message.typename):
            again.take(sample(name, message.typename, content, contract, encode))
    while waiting:
        yield from again.compared([live for _, live in waiting])
        waiting.popleft()


class Rebuilder:
    """Makes observations again, given every sample in the order of its arrival. exact: as in lockstep."""

    def __init__(self, contract: Contract, robot_topic: str, *, exact: bool):
        watch = RobotWatch(robot_topic, ROBOT_MAX_AGE_S) if robot_topic else None
        self._aligner, self._exact, self._begun = Aligner(contract, watch), exact, False
        self._some_only = set(contract.images) if exact or not contract.images else set(contract.streams)
        self._images = frozenset(contract.images)
        self._arrived: dict[str, deque[Sample]] = {}
        self._pushed_ns: dict[str, deque[int]] = {}

    def take(self, arrived: Sample):
        """Keep a sample until an observation names it."""
        held = IMAGES_HELD if arrived.name in self._images else SAMPLES_HELD
        self._arrived.setdefault(arrived.name, deque(maxlen=held)).append(arrived)

    def compared(self, those: list[Observation]) -> Iterator[Rebuilt]:
        """The first of those live observations and its like; the others are what came after it.

        Nothing for those before the first whole one: of what had happened before the recording nothing is known, and the first
        reward counts from there.
        """
        live = those[0]
        missing = tuple(name for name in live.ages_s if not self._hand_over(name, those))
        again = self._aligner.observe(live.stamp_ns, self._exact)
        if self._begun:
            yield Rebuilt(live, again, missing, () if missing else differences(live, again))
        self._begun |= not missing

    def _hand_over(self, name: str, those: list[Observation]) -> bool:
        """Push a stream's samples up to the one that the first observation names. Whether it is there."""
        stream, live = name.removesuffix(PICTURED), those[0]
        pushed = self._pushed_ns.setdefault(stream, deque(maxlen=KEPT))
        if math.isinf(live.ages_s[name]) or any(_named(live, (name,), stamp_ns) for stamp_ns in reversed(pushed)):
            return True
        arrived = self._arrived.get(stream, deque())
        if not any(_named(live, (name,), one.stamp_ns) for one in arrived):
            return False
        names = (stream, stream + PICTURED)
        while True:
            one = arrived.popleft()
            if stream not in self._some_only or any(_named(each, names, one.stamp_ns) for each in those):
                one.push(self._aligner)
                pushed.append(one.stamp_ns)
                if _named(live, (name,), one.stamp_ns):
                    return True


def _named(live: Observation, names: tuple[str, ...], stamp_ns: int) -> bool:
    """Whether the observation holds the sample of this stamp under one of the names of its ages."""
    age_s = np.float32((live.stamp_ns - stamp_ns) / 1e9)
    return any(name in live.ages_s and np.float32(live.ages_s[name]) == age_s for name in names)


def differences(live: Observation, again: Observation) -> tuple[str, ...]:
    """Fields that are not the same bit for bit. Ages are compared as the message carries them."""
    found = []
    for field in dataclasses.fields(Observation):
        before, after = getattr(live, field.name), getattr(again, field.name)
        if field.name == "ages_s":
            same = before.keys() == after.keys() and all(np.float32(before[n]) == np.float32(after[n]) for n in before)
        elif isinstance(before, np.ndarray):
            same = before.dtype == after.dtype and before.tobytes() == after.tobytes()
        elif field.name in NOT_COMPARED:
            continue
        elif field.name == "reason":
            same = _reasons(before) == _reasons(after)
        else:
            same = before == after or (before != before and after != after)
        if not same:
            found.append(field.name)
    return tuple(found)


def _reasons(text: str) -> list[str]:
    """In no order: a stored contract has its streams in another."""
    return sorted(HINT.sub("", text).split("; "))


def observation_of(message, contract: Contract) -> Observation:
    """The record of a decoded lpds_msgs/Observation. Raises ContractError for another contract's."""
    require_same_contract(contract, message.contract_digest, "an observation in the recording")
    p, q = message.measured_pose.position, message.measured_pose.orientation
    return Observation(
        stamp_ns=stamp_of(message.header),
        valid=message.valid,
        reason=message.reason,
        data=np.array(message.data, np.float32),
        ages_s=dict(zip(message.streams, message.ages_s.tolist())),
        position=np.array([p.x, p.y, p.z]),
        orientation=np.array([q.x, q.y, q.z, q.w]),
        joints=np.array(message.joint_position, np.float64),
        gripper_width=message.gripper_width,
        reward=message.reward,
        success=message.success,
        robot_mode=message.robot_mode,
        robot_error=message.robot_error,
    )
