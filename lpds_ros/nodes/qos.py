"""Quality of service of every topic, in one place (reference: franka_ros2's and CRISP's own settings)."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth: int, reliable: bool, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


# franka_ros2's convenience topics are best effort, depth 1: a reliable subscriber would receive nothing.
ROBOT_STATE = _profile(1, reliable=False)
# realsense2_camera's images are reliable; best effort is heard from it and from drivers that are not. The newest alone counts.
IMAGE = _profile(1, reliable=False)
# The same topics for who wants to know where something was at a picture's time: while it works on one, none may be lost.
ROBOT_HISTORY = _profile(100, reliable=False)
# Observations, operator commands, task state: each one matters, a backlog does not.
CONTROL = _profile(10, reliable=True)
# Decisions and episodes: none may be lost between steering and recorder or learner. One that died and was started again gets
# the last thousand again; who listens knows each by its id.
RECORD = _profile(1000, reliable=True, latched=True)
# Weights: a late joiner gets the newest.
LATCHED = _profile(1, reliable=True, latched=True)
# Who hears /tf_static: each of several publishers latches one message, and depth 1 keeps the last of all (tf2_ros: 100 too).
FIXED_FRAMES = _profile(100, reliable=True, latched=True)
# Pose targets: CRISP subscribes RELIABLE, keep last 1. In lockstep a whole burst must survive.
TARGET_REALTIME = _profile(1, reliable=True)
TARGET_BEST_EFFORT = _profile(1, reliable=False)
TARGET_LOCKSTEP = _profile(20, reliable=True)
