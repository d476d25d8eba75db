"""Tries `lpds calibrate hand-eye` on the simulation: moves its arm from pose to pose, and compares what was found with the truth.

    python -m lpds_ros.nodes.sim --ros-args -p task:=lift -p camera:=sim -p board:=hand
    python benchmarks/hand_eye.py move eye_on_base
    lpds calibrate hand-eye runs/cal/front --kind eye_on_base --live
    python benchmarks/hand_eye.py compare runs/cal/front/front.calib

For the camera on the hand: board:=table, eye_in_hand, and `--topic camera/wrist/color/image_raw`.
"""

import argparse
import time

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from geometry_msgs.msg import PoseStamped

from lpds_ros.geometry import from_rotation_vector, multiply, slerp
from lpds_ros.nodes import qos
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.calibration import CalibrationNode
from lpds_ros.nodes.messages import pose_stamped_msg
from lpds_ros.perception.calibration.calib_file import read_calibration
from lpds_ros.perception.calibration.hand_eye import difference

HZ, STEPS, REST_S = 50.0, 150, 4.0
DOWN = np.array([1.0, 0.0, 0.0, 0.0])
CENTRES = {"eye_on_base": np.array([0.50, 0.0, 0.30]), "eye_in_hand": np.array([0.46, 0.0, 0.33])}
SPREADS = {"eye_on_base": np.array([0.08, 0.10, 0.06]), "eye_in_hand": np.array([0.04, 0.06, 0.05])}


class Mover(LpdsNode):
    """Publishes target_pose."""

    NAME = "mover"

    def set_up(self):
        self._targets = self.create_publisher(PoseStamped, "target_pose", qos.TARGET_REALTIME)

    def say(self, position, orientation):
        """One target."""
        self._targets.publish(pose_stamped_msg(time.time_ns(), position, orientation))


def move(kind: str, count: int):
    """Go to `count` poses, one about each axis in turn, and rest at each."""
    rng = np.random.default_rng(0)
    with Attached(Mover) as attached:
        at, turned = CENTRES[kind], DOWN
        for i in range(count):
            axis = np.eye(3)[i % 3] * rng.choice([-1.0, 1.0]) * rng.uniform(0.25, 0.45)
            goal = multiply(DOWN, from_rotation_vector(axis + rng.uniform(-0.12, 0.12, 3)))
            place = CENTRES[kind] + rng.uniform(-1.0, 1.0, 3) * SPREADS[kind]
            for share in [*np.linspace(0.0, 1.0, STEPS), *np.ones(round(REST_S * HZ))]:
                attached.node.say(at + share * (place - at), slerp(turned, goal, share))
                time.sleep(1.0 / HZ)
            at, turned = place, goal
            print(f"pose {i + 1} of {count}", flush=True)


def compare(path: str):
    """Print how far a calibration is from what the simulation says on /tf_static."""
    found = read_calibration(path)
    with Attached(lambda **options: CalibrationNode("unused", "", **options)) as attached:
        time.sleep(3.0)
        true = attached.node.frames.lookup(found.parameters.parent, found.parameters.tracking_base_frame)
    m, rad = difference(found.transform.matrix, true)
    print(f"{found.parameters.parent} -> {found.parameters.tracking_base_frame}: {1e3 * m:.2f} mm and {np.rad2deg(rad):.3f}° off")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("move", "compare"))
    parser.add_argument("which", help="eye_on_base or eye_in_hand; or a .calib file")
    parser.add_argument("--poses", type=int, default=30)
    args = parser.parse_args()
    if args.what == "move":
        move(args.which, args.poses)
    else:
        compare(args.which)


if __name__ == "__main__":
    main()
