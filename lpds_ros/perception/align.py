"""Time alignment: samples of several streams in, one Observation per control tick out.

A stream that is missing, too old, stamped in the future, unstamped or not finite makes the observation invalid and is
named in its reason; a zero or a held value is never passed on in its place. Times are nanoseconds of the robot's clock.
A picture is old when its features arrive: beside it, `data` holds what the robot was then, of each other stream the newest
sample not younger than the (oldest) picture. The measured pose, joints and width of the observation are always the newest.
"""

import math
from collections import deque

import numpy as np

from lpds_ros.config import nearest
from lpds_ros.contract import Contract, Feature
from lpds_ros.geometry import canonical
from lpds_ros.perception.robot import FUTURE_TOLERANCE_NS, OTHER, RobotWatch
from lpds_ros.records import Observation

# Samples younger than the tick that a stream may hold: 64 ms of the fastest (1 kHz).
HISTORY = 64
PICTURE_HISTORY = 1024  # the same, where samples must reach back to a picture's time
POSE_NEAR_NS = 20_000_000  # two samples of 100 Hz: what moves meanwhile is 5 mm at 0.25 m/s
JOINTS = 7
# Beside the contract's streams in an observation's ages: whose state and whose reward it holds.
TASK_AGE, ROBOT_AGE = "task_state", "robot_state"
PICTURED = "@picture"  # after a stream's name: of its sample that goes with the picture
# Farther from length 1 than this a quaternion is a fault of its source, not rounding.
QUATERNION_TOLERANCE = 0.05


class _Stream:
    """Bounded history of one stream: (stamp_ns, {field: float64 array}), oldest first, and why the last was refused."""

    def __init__(self, name: str, topic: str, max_age_s: float, history: int):
        self.label = f"stream '{name}' ({topic})"
        self.max_age_s = max_age_s
        self.samples: deque[tuple[int, dict[str, np.ndarray]]] = deque(maxlen=history)
        self.refused = ""

    def push(self, stamp_ns: int, fields: dict[str, np.ndarray]):
        if self.samples:
            newest = self.samples[-1][0]
            if stamp_ns == newest:
                return
            if stamp_ns < newest:  # its clock went back: what is held belongs to another time
                self.samples.clear()
        self.samples.append((stamp_ns, fields))
        self.refused = ""

    def at(self, stamp_ns: int):
        """Fields stamped exactly so, or None."""
        return next((fields for stamp, fields in reversed(self.samples) if stamp == stamp_ns), None)

    def newest(self, now_ns: int):
        """Newest (stamp, fields) not younger than the tick; if every one is younger, the oldest."""
        for sample in reversed(self.samples):
            if sample[0] <= now_ns:
                return sample
        return self.samples[0]


class Aligner:
    """See the module's docstring. robot: what the robot says of itself, where that is heard; its absence is a reason too.

    Not thread-safe: a node that pushes and observes from two threads holds a lock.
    """

    def __init__(self, contract: Contract, robot: RobotWatch | None = None):
        self.contract, self.robot = contract, robot
        self._images = contract.images
        history = PICTURE_HISTORY if self._images else HISTORY
        self._streams = {name: _Stream(name, s.topic, s.max_age_s, history) for name, s in contract.streams.items()}
        self._needed = {name: {"position"} for name in contract.streams}
        for feature in contract.observation:
            for stream in (feature.stream, feature.relative_to):
                if stream:
                    self._needed[stream].add(feature.field)
        self._sizes = {
            (stream, f.field): f.size
            for f in contract.observation
            for stream in (f.stream, f.relative_to)
            if f.reduce == "none" and stream
        }
        self._sizes["joint_state", "position"] = JOINTS
        self._slices = contract.feature_slices()
        self._task_needed = contract.reward.source == "task_state"
        self._tasks: deque[tuple[int, float, bool]] = deque(maxlen=4 * HISTORY)
        self._tick_ns: int | None = None
        self._previous_ns: int | None = None

    def reset(self):
        """Forget every sample, reward and tick."""
        for stream in self._streams.values():
            stream.samples.clear()
            stream.refused = ""
        self._tasks.clear()
        if self.robot is not None:
            self.robot.clear()
        self._tick_ns = self._previous_ns = None

    def push_pose(self, stream: str, stamp_ns: int, position, orientation):
        """Sample of a PoseStamped stream: position [3] m, orientation [4] xyzw (normalised here, w >= 0)."""
        target = self._stream(stream)
        position = np.array(position, np.float64)
        orientation = np.array(orientation, np.float64)
        target.refused = _refusal(stamp_ns, {"position": position, "orientation": orientation})
        if target.refused:
            return
        length = math.sqrt(float(orientation @ orientation))
        if abs(length - 1.0) > QUATERNION_TOLERANCE:
            target.refused = f"orientation has length {length:.3g}, not 1"
            return
        target.push(stamp_ns, {"position": position, "orientation": canonical(orientation)})

    def push_joints(self, stream: str, stamp_ns: int, position, velocity=(), effort=()):
        """Sample of a JointState stream; only fields the contract uses are looked at (drivers leave others empty)."""
        target = self._stream(stream)
        fields = {"position": position, "velocity": velocity, "effort": effort}
        fields = {name: np.array(fields[name], np.float64) for name in sorted(self._needed[stream])}
        target.refused = _refusal(stamp_ns, fields)
        for name, values in fields.items():
            size = self._sizes.get((stream, name))
            if not target.refused and (values.size == 0 or (size is not None and values.size != size)):
                target.refused = f"{name} holds {values.size} numbers, expected {size or 'at least one'}"
        if not target.refused:
            target.push(stamp_ns, fields)

    def push_features(self, stream: str, stamp_ns: int, features, encode_s: float = 0.0):
        """Sample of an Image stream: what the encoder made, in `encode_s`, of the picture taken at the stamp; [size] numbers."""
        target, features = self._stream(stream), np.array(features, np.float64)
        target.refused = _refusal(stamp_ns, {"image": features})
        size = self._images[stream].size
        if not target.refused and features.shape != (size,):
            target.refused = f"its encoder gave {features.shape} numbers, expected {size}"
        if not target.refused:
            target.push(stamp_ns, {"image": features, "encode_s": np.array(encode_s)})

    def refuse(self, stream: str, why: str):
        """Say of a sample that it cannot be used: the reason names it when the stream has none that is young enough."""
        self._stream(stream).refused = why

    def pose_at(self, stamp_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Position [3] m and orientation [4] xyzw of the tool then, None where no sample is near enough (POSE_NEAR_NS)."""
        stream = self._streams["pose"]
        if not stream.samples:
            return None
        near_ns, fields = stream.newest(stamp_ns)
        return (fields["position"], fields["orientation"]) if abs(near_ns - stamp_ns) <= POSE_NEAR_NS else None

    def push_task(self, stamp_ns: int, reward: float, success: bool):
        """Reward and success of the period that ended at the stamp. A repeated stamp counts once."""
        if not (stamp_ns > 0 and math.isfinite(reward)):
            return
        if self._tasks and stamp_ns < self._tasks[-1][0]:
            self._tasks.clear()
        if not self._tasks or stamp_ns > self._tasks[-1][0]:
            self._tasks.append((stamp_ns, float(reward), bool(success)))

    def complete_at(self, stamp_ns: int) -> bool:
        """Whether all that an observation is made of has a sample of exactly this stamp."""
        said = self.robot is None or self.robot.at(stamp_ns)
        return said and all(s.at(stamp_ns) is not None for s in self._streams.values()) and self._task_at(stamp_ns)

    def observe(self, now_ns: int, exact: bool = False) -> Observation:
        """The observation of the control tick at `now_ns`; asked again for the same tick, the same answer.

        exact: every sample must carry the tick's own stamp (lockstep); otherwise the newest not younger than the tick
        is taken if its age is within the stream's limit. Its reward is the sum over (previous tick, this tick].
        """
        if self._tick_ns is not None and now_ns < self._tick_ns:
            self.reset()
        if now_ns != self._tick_ns:
            self._previous_ns, self._tick_ns = self._tick_ns, now_ns
        fields, ages_s, reasons = {}, {}, []
        for name, stream in self._streams.items():
            fields[name], ages_s[name], reason = self._sample(stream, now_ns, exact)
            if reason:
                reasons.append(reason)
        ages_s |= self._further_ages(now_ns)
        seen = fields
        if self._images and not (exact or reasons):
            seen, pictured_s, reasons = self._as_pictured(fields, now_ns)
            ages_s |= pictured_s
        if exact and not self._task_at(now_ns):
            reasons.append(f"task state ({self.contract.reward.topic}) has no sample at {now_ns / 1e9:.3f} s")
        if self.robot is not None and (missing := self.robot.missing(now_ns, exact)):
            reasons.append(missing)
        reward, success = self._reward(now_ns)
        return Observation(
            stamp_ns=now_ns,
            valid=not reasons,
            reason="; ".join(reasons),
            data=self._data(seen, valid=not reasons),
            ages_s=ages_s,
            position=_or_nan(fields["pose"], "position", 3),
            orientation=_or_nan(fields["pose"], "orientation", 4),
            joints=_or_nan(fields["joint_state"], "position", JOINTS),
            gripper_width=float(fields["gripper"]["position"].sum()) if fields["gripper"] else math.nan,
            reward=reward,
            success=success,
            robot_mode=self.robot.mode if self.robot is not None else OTHER,
            robot_error=self.robot.error if self.robot is not None else "",
            encode_s=sum(float(fields[name]["encode_s"]) for name in self._images if fields[name]),
        )

    def _as_pictured(self, newest: dict[str, dict], now_ns: int) -> tuple[dict[str, dict], dict[str, float], list[str]]:
        """(fields by stream that go with the pictures, their ages at the tick, reasons why some do not)."""
        taken_ns = min(self._streams[name].newest(now_ns)[0] for name in self._images)
        seen, ages_s, reasons = dict(newest), {}, []
        for name, stream in self._streams.items():
            if name in self._images:
                continue
            stamp_ns, seen[name] = stream.newest(taken_ns)
            ages_s[name + PICTURED] = (now_ns - stamp_ns) / 1e9
            apart_s = (taken_ns - stamp_ns) / 1e9
            if not 0.0 <= apart_s <= stream.max_age_s:
                reasons.append(
                    f"{stream.label} has no sample of up to {stream.max_age_s:.2f} s before the picture it goes with: "
                    f"the nearest is {abs(apart_s):.2f} s {'older' if apart_s > 0 else 'younger'}"
                )
        return seen, ages_s, reasons

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            raise KeyError(f"unknown stream '{name}'{nearest(name, self._streams)}")
        return self._streams[name]

    def _task_at(self, stamp_ns: int) -> bool:
        return not self._task_needed or any(stamp == stamp_ns for stamp, _, _ in self._tasks)

    @staticmethod
    def _sample(stream: _Stream, now_ns: int, exact: bool):
        """(fields or None, age in seconds, reason or "")."""
        hint = f"; its last sample was refused: {stream.refused}" if stream.refused else ""
        if not stream.samples:
            return None, math.inf, f"{stream.label} has given no sample{hint}"
        if exact:
            fields = stream.at(now_ns)
            if fields is None:
                age_s = (now_ns - stream.samples[-1][0]) / 1e9
                return None, age_s, f"{stream.label} has no sample at {now_ns / 1e9:.3f} s{hint}"
            return fields, 0.0, ""
        ahead_s = (stream.samples[-1][0] - now_ns) / 1e9
        if ahead_s * 1e9 > FUTURE_TOLERANCE_NS:
            return None, -ahead_s, f"{stream.label} is stamped {ahead_s:.2f} s in the future: check both clocks"
        stamp_ns, fields = stream.newest(now_ns)
        age_s = (now_ns - stamp_ns) / 1e9
        if age_s > stream.max_age_s:
            return None, age_s, f"{stream.label} is {age_s:.2f} s old, limit {stream.max_age_s:.2f} s{hint}"
        return fields, age_s, ""

    def _further_ages(self, now_ns: int) -> dict[str, float]:
        """Of what is no stream of the contract: with the streams' ages they name every sample that the observation is made of."""
        ages_s = {}
        if self._task_needed:
            ages_s[TASK_AGE] = min(((now_ns - stamp) / 1e9 for stamp, _, _ in self._tasks if stamp <= now_ns), default=math.inf)
        if self.robot is not None:
            ages_s[ROBOT_AGE] = self.robot.age_s(now_ns)
        return ages_s

    def _reward(self, now_ns: int) -> tuple[float, bool]:
        reward, success = 0.0, False
        for stamp, value, done in self._tasks:
            if stamp <= now_ns and (self._previous_ns is None or stamp > self._previous_ns):
                reward, success = reward + value, success or done
        return reward, success

    def _data(self, fields: dict, valid: bool) -> np.ndarray:
        data = np.full(self.contract.observation_size, np.nan)
        if valid:
            for feature in self.contract.observation:
                values = _reduced(feature, fields[feature.stream])
                if feature.relative_to:
                    values = values - _reduced(feature, fields[feature.relative_to])
                data[self._slices[feature.name]] = values
        data = data.astype(np.float32)
        data.setflags(write=False)
        return data


def _reduced(feature: Feature, fields: dict[str, np.ndarray]):
    values = fields[feature.field]
    return values.sum() if feature.reduce == "sum" else values


def _refusal(stamp_ns: int, fields: dict[str, np.ndarray]) -> str:
    """Why the sample cannot be used, naming the value, or ""."""
    if stamp_ns <= 0:
        return "it carries no time stamp (zero)"
    for name, values in fields.items():
        finite = np.isfinite(values)
        if not finite.all():
            index = int(np.argmin(finite))
            return f"{name}[{index}] is {values[index]}"
    return ""


def _or_nan(fields: dict | None, name: str, size: int) -> np.ndarray:
    return np.full(size, np.nan) if fields is None else fields[name].copy()
