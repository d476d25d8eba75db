"""Demonstrations out of recorded ROS topics: our own streams, or anybody's bag, through the contract.

Where an operator's decisions were recorded the actions are those, and what the recording adds are the pictures. Any other bag
goes through the Aligner and its pose targets (commanded.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lpds_ros.config import build, read_yaml
from lpds_ros.contract import Contract
from lpds_ros.data.definitions import DECISION, EPISODE, Definitions
from lpds_ros.data.demonstration import DemoError, DemoFile, Demonstration, check_demo, digest_demos, followed
from lpds_ros.data.demos import demo_from_decisions, driven_episodes
from lpds_ros.data.log_codec import CodecError, decode
from lpds_ros.data.streams import IMAGE, OBSERVATION, RawMessage, decoded, describe, header_stamp, raw_messages
from lpds_ros.images import ImageError, fitted
from lpds_ros.perception.commanded import BagSource, Taken, commanded, gripper_value
from lpds_ros.perception.feed import Sample, Sources, picture_of, sample
from lpds_ros.perception.rebuild import observation_of
from lpds_ros.records import Decision, Episode, Observation

MAX_PICTURES_BYTES = 8 << 30


@dataclass
class Recording:
    """What is in a bag, but for the pictures themselves. samples: by stream, in the order of arrival.

    targets: (stamp_ns, position [3], orientation [4]). gripper: (stamp_ns, value) of its command. log: (topic, record).
    """

    contract: Contract
    sources: Sources
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    targets: list[tuple[int, np.ndarray, np.ndarray]] = field(default_factory=list)
    gripper: list[tuple[int, float]] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    log: list[tuple[str, Decision | Episode]] = field(default_factory=list)


def read_recording(path, contract: Contract | None = None, bag: BagSource | None = None) -> DemoFile:
    """Demonstrations of a bag: episodes that an operator drove to success under steering, else those of its pose targets.

    bag: how another recorder's bag is to be understood. Raises DemoError, ContractError.
    """
    described = describe(path)
    if described.contract is not None:
        contract = followed(contract, described.contract, str(path))
    if contract is None:
        raise DemoError(f"{path}: no contract inside; name the one it is to follow with --contract")
    recording = load(path, contract, bag or BagSource())
    if bag is None and any(isinstance(record, Decision) for _, record in recording.log):
        taken = [_decided(recording, parts, episode) for parts, episode in driven_episodes(recording.log)]
    else:
        taken = list(commanded(recording, bag or BagSource(), str(path)))
    if not taken:
        raise DemoError(f"{path}: holds no successful episode driven by an operator alone")
    demos = with_pictures(path, recording.sources, taken, contract) if contract.images else [one.demo for one in taken]
    for i, demo in enumerate(demos):
        check_demo(demo, contract, f"{path}: demonstration {i}")
    return DemoFile(demos, contract, digest_demos(demos))


def load(path, contract: Contract, bag: BagSource) -> Recording:
    """Read a bag once. Raises DemoError for a message that does not decode."""
    definitions, sources = Definitions(), Sources(contract, topics=bag.topics)
    found = Recording(contract, sources)

    def commands(topic):
        return sources.under(topic, bag.command) or (bool(bag.gripper) and sources.under(topic, bag.gripper))

    def wanted(topic, typename):
        ours = typename in (OBSERVATION, DECISION, EPISODE)
        return ours or bool(sources.names(topic, typename)) or commands(topic)

    for message in raw_messages(path, definitions, wanted=wanted):
        if message.typename in (DECISION, EPISODE):
            found.log.append((message.topic, _record(definitions, message)))
            continue
        names = sources.names(message.topic, message.typename)
        if message.typename == IMAGE:
            for name in names:
                found.samples.setdefault(name, []).append(_unseen(name, header_stamp(message), contract))
            continue
        content = decoded(definitions, message)
        if message.typename == OBSERVATION:
            found.observations.append(observation_of(content, contract))
        for name in names:
            found.samples.setdefault(name, []).append(sample(name, message.typename, content, contract))
        if sources.under(message.topic, bag.command):
            found.targets.append(_target(message, content))
        if bag.gripper and sources.under(message.topic, bag.gripper):
            found.gripper.append(gripper_value(message, content))
    return found


def _record(definitions: Definitions, message: RawMessage) -> Decision | Episode:
    try:
        return decode(definitions, message.typename, message.data)
    except CodecError as error:
        raise DemoError(f"{message.topic}: {error}") from None


def _unseen(name: str, stamp_ns: int, contract: Contract) -> Sample:
    """An image of which only the stamp counts: a demonstration's features are zero until an encoder makes them of it."""
    zeros = np.zeros(contract.images[name].size, np.float32)
    return Sample(name, stamp_ns, lambda aligner: aligner.push_features(name, stamp_ns, zeros))


def _target(message: RawMessage, content) -> tuple[int, np.ndarray, np.ndarray]:
    try:
        p, q = content.pose.position, content.pose.orientation
    except AttributeError:
        raise DemoError(
            f"{message.topic} is {message.typename}: targets must be geometry_msgs/msg/PoseStamped; name another with command"
        ) from None
    return header_stamp(message), np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def _decided(recording: Recording, parts: list[Decision], episode: Episode) -> Taken:
    """An operator's episode, and of each tick the stamps of its pictures: those that the observation of the tick names."""
    demo, contract = demo_from_decisions(parts, episode, ""), recording.contract
    if not contract.images:
        return Taken(demo, {})
    ticks, stamps = list(_matched(recording.observations, demo.observations, parts[0].stamp_ns)), {}
    for stream in contract.images:
        there = np.array([one.stamp_ns for one in recording.samples.get(stream, ())], np.int64)
        stamps[stream] = [_named(there, live, stream) for live in ticks]
    rows, final = demo.observations.copy(), demo.final_observation.copy()
    for feature in contract.images.values():
        rows[:, contract.feature_slices()[feature.name]] = 0.0
        final[contract.feature_slices()[feature.name]] = 0.0
    return Taken(replace(demo, observations=rows, final_observation=final), stamps)


def _matched(observations: list[Observation], rows: np.ndarray, first_ns: int) -> Iterator[Observation]:
    """The recorded observation of each row: they are the same bits. Raises DemoError where one is not in the recording."""
    following = iter(sorted((live for live in observations if live.stamp_ns >= first_ns), key=lambda live: live.stamp_ns))
    for tick, row in enumerate(rows):
        live = next((live for live in following if live.data.tobytes() == row.tobytes()), None)
        if live is None:
            raise DemoError(f"tick {tick} of an episode is in none of the recorded observations: were messages dropped?")
        yield live


def _named(stamps: np.ndarray, live: Observation, stream: str) -> int:
    """The stamp of the picture that an observation names. Raises DemoError where the recording lacks it."""
    same = np.flatnonzero(((live.stamp_ns - stamps) / 1e9).astype(np.float32) == np.float32(live.ages_s[stream]))
    if not len(same):
        raise DemoError(f"the picture of '{stream}' at {live.stamp_ns / 1e9:.3f} s was not recorded: were messages dropped?")
    return int(stamps[same[0]])


def with_pictures(path, sources: Sources, taken: list[Taken], contract: Contract) -> list[Demonstration]:
    """The bag is read again, and of its pictures only those that a tick holds are kept, in the contract's size."""
    needed = {(stream, stamp) for one in taken for stream, stamps in one.pictures.items() for stamp in stamps}
    size = sum(3 * contract.streams[stream].width_px * contract.streams[stream].height_px for stream, _ in needed)
    if size > MAX_PICTURES_BYTES:
        raise DemoError(f"{path}: its pictures need {size >> 20} MiB, at most {MAX_PICTURES_BYTES >> 20}: convert it in parts")
    kept = dict(_pictures(path, sources, needed, contract))
    absent = sorted(needed - kept.keys(), key=lambda entry: entry[1])
    if absent:
        raise DemoError(f"{path}: the picture of '{absent[0][0]}' at {absent[0][1] / 1e9:.3f} s is not in it")
    stacked = [{name: np.stack([kept[name, at] for at in stamps]) for name, stamps in one.pictures.items()} for one in taken]
    return [replace(one.demo, images=images) for one, images in zip(taken, stacked)]


def _pictures(path, sources: Sources, needed, contract: Contract) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    definitions = Definitions()

    def wanted(topic, typename):
        return typename == IMAGE and bool(sources.names(topic, typename))

    for message in raw_messages(path, definitions, wanted=wanted):
        stamp_ns, picture = header_stamp(message), None
        for stream in sources.names(message.topic, message.typename):
            if (stream, stamp_ns) in needed:
                picture = picture or picture_of(decoded(definitions, message))
                try:
                    yield (stream, stamp_ns), fitted(picture.rgb(), contract.streams[stream])
                except ImageError as error:
                    raise DemoError(f"{path}: a picture of '{stream}': {error}") from None


def load_bag_source(path) -> BagSource:
    """Read how a bag is to be understood. Raises ConfigError with file, line and what to do."""
    return build(BagSource, read_yaml(path), Path(path))
