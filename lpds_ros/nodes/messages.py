"""Records to messages and back. Arrays go through array.array: a numpy array would be copied element by element."""

import array

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Pose, PoseStamped
from lpds_msgs.msg import Decision as DecisionMsg
from lpds_msgs.msg import Episode as EpisodeMsg
from lpds_msgs.msg import Observation as ObservationMsg
from lpds_msgs.msg import OperatorCommand

from lpds_ros.contract import Contract, require_same_contract
from lpds_ros.records import Decision, Episode, Mark, Observation, OperatorInput, Source

BASE_FRAME = "base"


class MessageError(ValueError):
    """A message whose arrays do not have the size the contract gives them."""


def type_name(kind) -> str:
    """What the graph calls a message class, for example "sensor_msgs/msg/JointState"."""
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def stamp_msg(nanoseconds: int) -> Time:
    """The builtin_interfaces/Time of `nanoseconds`."""
    sec, nanosec = divmod(int(nanoseconds), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def duration_msg(seconds: float) -> Duration:
    """The builtin_interfaces/Duration of `seconds`."""
    sec, nanosec = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(sec=sec, nanosec=nanosec)


def floats(values) -> array.array:
    """float32[] field of an array of any shape, row by row."""
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())


def numbers(field, shape, name: str) -> np.ndarray:
    """float32 array [shape] of a float32[] field; a copy, read-only. Raises MessageError when the count differs."""
    values = np.array(field, np.float32)
    if values.size != int(np.prod(shape)):
        raise MessageError(f"field '{name}' holds {values.size} numbers, expected {tuple(int(s) for s in shape)}")
    values = values.reshape(shape)
    values.setflags(write=False)
    return values


def pose_msg(position, orientation) -> Pose:
    """geometry_msgs/Pose of position [3] m and orientation [4] xyzw."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in position)
    q = pose.orientation
    q.x, q.y, q.z, q.w = (float(v) for v in orientation)
    return pose


def pose_arrays(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Position [3] m and orientation [4] xyzw, float64, as sent (not normalised)."""
    p, q = pose.position, pose.orientation
    return np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w])


def pose_stamped_msg(stamp: int, position, orientation, frame: str = BASE_FRAME) -> PoseStamped:
    """geometry_msgs/PoseStamped; `stamp` in nanoseconds."""
    message = PoseStamped(pose=pose_msg(position, orientation))
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), frame
    return message


def observation_to_msg(record: Observation, contract_digest: str) -> ObservationMsg:
    message = ObservationMsg(
        contract_digest=contract_digest,
        valid=bool(record.valid),
        reason=record.reason,
        data=floats(record.data),
        streams=list(record.ages_s),
        ages_s=floats(list(record.ages_s.values())),
        measured_pose=pose_msg(record.position, record.orientation),
        joint_position=np.array(record.joints, np.float64),
        gripper_width=float(record.gripper_width),
        robot_mode=int(record.robot_mode),
        robot_error=record.robot_error,
        encode_s=float(record.encode_s),
        reward=float(record.reward),
        success=bool(record.success),
    )
    message.header.stamp, message.header.frame_id = stamp_msg(record.stamp_ns), BASE_FRAME
    return message


def observation_from_msg(message: ObservationMsg, contract: Contract) -> Observation:
    """Raises ContractError on another contract's digest, MessageError on a wrong size."""
    require_same_contract(contract, message.contract_digest, "an observation")
    position, orientation = pose_arrays(message.measured_pose)
    return Observation(
        stamp_ns=stamp_ns(message.header.stamp),
        valid=message.valid,
        reason=message.reason,
        data=numbers(message.data, (contract.observation_size,), "data"),
        ages_s=dict(zip(message.streams, message.ages_s)),
        position=position,
        orientation=orientation,
        joints=np.array(message.joint_position, np.float64),
        gripper_width=message.gripper_width,
        reward=message.reward,
        success=message.success,
        robot_mode=message.robot_mode,
        robot_error=message.robot_error,
        encode_s=message.encode_s,
    )


def operator_to_msg(record: OperatorInput, device: str) -> OperatorCommand:
    message = OperatorCommand(
        device=device,
        active=bool(record.active),
        action=floats(record.action),
        mark=int(record.mark),
        stop=bool(record.stop),
    )
    message.header.stamp = stamp_msg(record.stamp_ns)
    return message


def operator_from_msg(message: OperatorCommand, contract: Contract) -> OperatorInput:
    """Raises MessageError when an active command's action does not have the contract's size."""
    size = (contract.action.size,)
    action = numbers(message.action, size, "action") if message.active else np.zeros(size, np.float32)
    if message.mark not in set(Mark):
        raise MessageError(
            f"operator mark {message.mark} is not one of {', '.join(f'{m.value} {m.name}' for m in Mark)}"
        )
    return OperatorInput(stamp_ns(message.header.stamp), message.active, action, Mark(message.mark), message.stop)


def decision_to_msg(record: Decision) -> DecisionMsg:
    message = DecisionMsg(
        session=record.session,
        decision_id=int(record.decision_id),
        episode=int(record.episode),
        index=int(record.index),
        source=int(record.source),
        weights_version=int(record.weights_version),
        contract_digest=record.contract_digest,
        prior_digest=record.prior_digest,
        observation=floats(record.observation),
        noise=floats(record.noise),
        delta=floats(record.delta),
        chunk=floats(record.chunk),
        executed=floats(record.executed),
        sent=floats(record.sent),
        rewards=floats(record.rewards),
        ticks=int(record.ticks),
        tick_observations=floats(record.tick_observations),
        next_observation=floats(record.next_observation),
        terminated=bool(record.terminated),
        truncated=bool(record.truncated),
        decode_s=float(record.decode_s),
    )
    message.header.stamp, message.header.frame_id = stamp_msg(record.stamp_ns), BASE_FRAME
    return message


def decision_from_msg(message: DecisionMsg, contract: Contract) -> Decision:
    """Raises ContractError on another contract's digest, MessageError on a wrong size or source.

    An operator's decision has noise, delta and chunk of shape [0, d_a].
    """
    require_same_contract(contract, message.contract_digest, f"decision {message.decision_id}")
    if message.source not in set(Source):
        raise MessageError(f"decision source {message.source} is not one of {', '.join(s.name for s in Source)}")
    executed = contract.horizons.executed
    if message.ticks > executed:
        raise MessageError(f"decision ran {message.ticks} ticks, at most {executed} belong to a chunk")
    d_a, d_o = contract.action.size, contract.observation_size
    latent = (0, d_a) if message.source == Source.OPERATOR else contract.noise_shape
    rows = latent[0]
    if contract.horizons.delay and rows:  # of a chunk decoded ahead those from the first that ran
        rows = min(max(executed, len(message.chunk) // d_a), rows)
    return Decision(
        session=message.session,
        decision_id=message.decision_id,
        episode=message.episode,
        index=message.index,
        stamp_ns=stamp_ns(message.header.stamp),
        source=Source(message.source),
        weights_version=message.weights_version,
        observation=numbers(message.observation, (contract.state_size,), "observation"),
        noise=numbers(message.noise, latent, "noise"),
        delta=numbers(message.delta, latent, "delta"),
        chunk=numbers(message.chunk, (rows, d_a), "chunk"),
        executed=numbers(message.executed, (executed, d_a), "executed"),
        sent=numbers(message.sent, (executed, d_a), "sent"),
        rewards=numbers(message.rewards, (executed,), "rewards"),
        ticks=message.ticks,
        tick_observations=numbers(message.tick_observations, (message.ticks, d_o), "tick_observations"),
        next_observation=numbers(message.next_observation, (contract.state_size,), "next_observation"),
        terminated=message.terminated,
        truncated=message.truncated,
        decode_s=message.decode_s,
        contract_digest=message.contract_digest,
        prior_digest=message.prior_digest,
    )


def episode_to_msg(record: Episode) -> EpisodeMsg:
    message = EpisodeMsg(
        session=record.session,
        episode=int(record.episode),
        seed=int(record.seed),
        success=bool(record.success),
        episode_return=float(record.episode_return),
        ticks=int(record.ticks),
        decisions=int(record.decisions),
        operator_ticks=int(record.operator_ticks),
        reason=record.reason,
        weights_version=int(record.weights_version),
        contract_digest=record.contract_digest,
    )
    message.header.stamp, message.header.frame_id = stamp_msg(record.stamp_ns), BASE_FRAME
    return message


def episode_from_msg(message: EpisodeMsg) -> Episode:
    return Episode(
        session=message.session,
        episode=message.episode,
        seed=message.seed,
        stamp_ns=stamp_ns(message.header.stamp),
        success=message.success,
        episode_return=message.episode_return,
        ticks=message.ticks,
        decisions=message.decisions,
        reason=message.reason,
        weights_version=message.weights_version,
        operator_ticks=message.operator_ticks,
        contract_digest=message.contract_digest,
    )
