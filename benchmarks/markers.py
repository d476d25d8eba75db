"""How well the markers node measures the cube of a running simulation: beside it, python benchmarks/markers.py --seconds 60

    lpds launch franka_steer.launch.py robot:=sim learner:=false markers:=calibration/markers_cube.yaml

Compares lpds/object_pose with lpds/true_object_pose at equal stamps. In real time the picture's stamp is one of the physics'
stamps, but not every one of those is published: the true pose is interpolated.
"""

import argparse
import time

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from geometry_msgs.msg import PoseStamped

from lpds_ros.geometry import canonical, from_rotation_matrix, pose_matrix, to_rotation_vector
from lpds_ros.nodes import qos
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.messages import pose_arrays, stamp_ns
from lpds_ros.perception.pose_history import PoseHistory


class Listener(LpdsNode):
    """Keeps what was measured, what is true, and when what was measured came."""

    NAME = "markers_benchmark"

    def set_up(self):
        self.measured, self.true, self.ages_s = {}, PoseHistory(), []
        self.errors = {}
        self.create_subscription(PoseStamped, "lpds/object_pose", self._on_measured, qos.CONTROL)
        self.create_subscription(PoseStamped, "lpds/true_object_pose", self._on_true, qos.CONTROL)

    def _on_measured(self, message: PoseStamped):
        stamp = stamp_ns(message.header.stamp)
        if stamp not in self.measured:
            self.measured[stamp] = matrix(message)
            self.ages_s.append(time.time() - stamp / 1e9)
        self._compare()

    def _on_true(self, message: PoseStamped):
        position, orientation = pose_arrays(message.pose)
        self.true.push(stamp_ns(message.header.stamp), position, canonical(orientation))
        self._compare()

    def _compare(self):
        for stamp in [s for s in self.measured if s not in self.errors]:
            true = self.true.at(stamp)
            if true is not None:
                seen = self.measured[stamp]
                turn = to_rotation_vector(from_rotation_matrix(true[:3, :3].T @ seen[:3, :3]))
                self.errors[stamp] = [1e3 * np.linalg.norm(seen[:3, 3] - true[:3, 3]), np.rad2deg(np.linalg.norm(turn))]


def matrix(message: PoseStamped) -> np.ndarray:
    """Homogeneous transform [4, 4]."""
    position, orientation = pose_arrays(message.pose)
    return pose_matrix(position, canonical(orientation))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--namespace", default="")
    args = parser.parse_args()
    with Attached(Listener, args.namespace) as attached:
        time.sleep(args.seconds)
        attached.check()
        errors, ages_s = np.array(list(attached.node.errors.values())), 1e3 * np.array(attached.node.ages_s)
    if not len(errors):
        raise SystemExit("nothing was measured: is a stack with markers:=… running in this ROS_DOMAIN_ID?")
    print(f"{len(errors)} poses")
    for name, values in (("position, mm", errors[:, 0]), ("orientation, degrees", errors[:, 1]), ("age when heard, ms", ages_s)):
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        print(f"{name:<22} p50 {p50:8.2f}  p95 {p95:8.2f}  p99 {p99:8.2f}  most {values.max():8.2f}")


if __name__ == "__main__":
    main()
