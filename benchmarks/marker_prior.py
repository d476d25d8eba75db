"""What the prior makes of object poses that are measured on markers, beside the true ones, on the same seeds. No ROS: the cores.

python benchmarks/marker_prior.py --seeds 100
"""

import argparse

import numpy as np

from lpds_ros.geometry import from_rotation_matrix, pose_matrix
from lpds_ros.nodes.sim_prints import object_prints
from lpds_ros.perception.align import Aligner
from lpds_ros.perception.calibration.camera_info import camera_info
from lpds_ros.perception.marker_set import load_markers
from lpds_ros.perception.markers import MarkerTracker
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.session import DecoderSession
from lpds_ros.resources import resource
from lpds_ros.rollout import Rollout, evaluate, make_core
from lpds_ros.sim.camera import OPTICAL, Camera, read_view
from lpds_ros.sim.world import World

OBJECT = "lpds/object_pose"


class MarkedAligner(Aligner):
    """Takes the object's pose not as it is told, but as its markers show it; nothing where they are not seen."""

    def __init__(self, contract, world: World, markers):
        super().__init__(contract)
        view = read_view(resource("calibration/sim_camera_near.yaml"))
        self._world, self._camera, self._tracker = world, Camera(world.model, view), MarkerTracker(markers)
        k = np.array([[view.focal_px, 0, view.centre_px[0]], [0, view.focal_px, view.centre_px[1]], [0, 0, 1.0]])
        self._info = camera_info("sim", (view.width_px, view.height_px), k, np.zeros(5))
        link = np.eye(4)
        link[:3, :3], link[:3, 3] = view.axes(), view.position_m
        self._place = link @ pose_matrix(np.zeros(3), np.array(OPTICAL))
        self.asked = self.found = 0

    def push_pose(self, stream, stamp_ns, position, orientation):
        if self.contract.streams[stream].topic == OBJECT:
            self.asked += 1
            seen = self._tracker.find(self._camera.colour(self._world.data.qpos))
            sighting = self._tracker.locate(seen, self._info, self._place, stamp_ns)[0] if seen else None
            if sighting is None:
                return
            self.found += 1
            position, orientation = sighting.pose[:3, 3], from_rotation_matrix(sighting.pose[:3, :3])
        super().push_pose(stream, stamp_ns, position, orientation)

    def reset(self):
        """Another episode: the object is put elsewhere, which is no jump."""
        super().reset()
        self._tracker.forget()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--bundle", default=str(resource("models/lift")))
    args = parser.parse_args()
    bundle, markers = load_bundle(args.bundle), load_markers(resource("calibration/markers_cube.yaml"))
    contract, won = bundle.contract, {}
    print("| object pose | succeeded | 95 % interval | mean ticks |\n|---|---:|---|---:|")
    for name in ("true", "measured on markers"):
        rollout = Rollout(contract, make_core(contract, DecoderSession(bundle), seed=0))
        if name != "true":
            rollout.world = World(contract.task, control_period_ns=contract.period_ns, prints=object_prints(markers))
            rollout.aligner = MarkedAligner(contract, rollout.world, markers)
        result = evaluate(rollout, list(range(args.seeds)))
        low, high = result.interval
        won[name] = np.array([episode.success for episode in result.episodes])
        ticks = np.mean([episode.ticks for episode in result.episodes])
        print(f"| {name} | {won[name].sum()} of {args.seeds} | {low:.2f} to {high:.2f} | {ticks:.0f} |", flush=True)
    print(f"{np.sum(won['true'] != won['measured on markers'])} episodes end otherwise")
    print(f"the pose was measured at {rollout.aligner.found} of {rollout.aligner.asked} ticks")


if __name__ == "__main__":
    main()
