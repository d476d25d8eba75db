"""How a marker's corners are refined, and what it does to the pose: ours against OpenCV's, on the simulated cube at its starts.

python benchmarks/squares.py --seeds 100
"""

import argparse
import time

import cv2
import numpy as np

from lpds_ros.geometry import pose_matrix
from lpds_ros.nodes.sim_prints import object_prints
from lpds_ros.perception.calibration.board import dictionary
from lpds_ros.perception.calibration.camera_info import camera_info
from lpds_ros.perception.calibration.hand_eye import difference
from lpds_ros.perception.marker_set import load_markers
from lpds_ros.perception.markers import MarkerTracker, Seen
from lpds_ros.resources import resource
from lpds_ros.sim.camera import OPTICAL, Camera, read_view
from lpds_ros.sim.world import World

THEIRS = {
    "OpenCV, none": cv2.aruco.CORNER_REFINE_NONE,
    "OpenCV, sub-pixel": cv2.aruco.CORNER_REFINE_SUBPIX,
    "OpenCV, contour": cv2.aruco.CORNER_REFINE_CONTOUR,
    "OpenCV, AprilTag": cv2.aruco.CORNER_REFINE_APRILTAG,
}


def opencv_finder(markers, method):
    """As MarkerTracker.find, with one of OpenCV's refinements."""
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = method
    detector = cv2.aruco.ArucoDetector(dictionary(markers.dictionary), parameters)

    def find(image):
        corners, ids, _ = detector.detectMarkers(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        return None if ids is None else Seen(tuple(ids.ravel().tolist()), np.array(corners, float).reshape(-1, 4, 2))

    return find


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--view", default=str(resource("calibration/sim_camera_near.yaml")))
    args = parser.parse_args()
    markers, view = load_markers(resource("calibration/markers_cube.yaml")), read_view(args.view)
    world = World("lift", control_period_ns=50_000_000, prints=object_prints(markers))
    camera, shots = Camera(world.model, view), []
    for seed in range(args.seeds):
        world.reset(seed)
        state = world.state()
        shots.append((camera.colour(world.data.qpos), pose_matrix(state.object_position, state.object_orientation)))
    camera.close()
    k = np.array([[view.focal_px, 0, view.centre_px[0]], [0, view.focal_px, view.centre_px[1]], [0, 0, 1.0]])
    info = camera_info("sim", (view.width_px, view.height_px), k, np.zeros(5))
    place = np.eye(4)
    place[:3, :3], place[:3, 3] = view.axes(), view.position_m
    place = place @ pose_matrix(np.zeros(3), np.array(OPTICAL))
    finders = {name: opencv_finder(markers, method) for name, method in THEIRS.items()}
    finders["ours"] = MarkerTracker(markers).find
    print("| corners | poses | mm: p50 | p95 | degrees: p50 | p95 | ms |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, find in finders.items():
        off, took = [], []
        for image, true in shots:
            start = time.perf_counter()
            seen = find(image)
            took.append(time.perf_counter() - start)
            sighting = MarkerTracker(markers).locate(seen, info, place, 1)[0] if seen else None
            if sighting is not None:
                off.append(difference(sighting.pose, true))
        (m50, r50), (m95, r95) = np.percentile(off, (50, 95), axis=0)
        figures = f"{1e3 * m50:.2f} | {1e3 * m95:.2f} | {np.rad2deg(r50):.2f} | {np.rad2deg(r95):.2f}"
        print(f"| {name} | {len(off)} of {len(shots)} | {figures} | {1e3 * np.median(took):.1f} |", flush=True)


if __name__ == "__main__":
    main()
