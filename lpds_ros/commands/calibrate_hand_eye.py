"""`lpds calibrate hand-eye`: where a camera sits, on the hand or in the cell, guided or from a folder."""

import typing
from pathlib import Path

import numpy as np

from lpds_ros.commands._calibrate import Known, add_shared, session_of, table, take
from lpds_ros.commands._calibration_picture import draw_hand_eye
from lpds_ros.perception.calibration.calib_file import (
    Calibration,
    Frames,
    read_samples,
    transform_of,
    write_calibration,
    write_samples,
)
from lpds_ros.perception.calibration.camera_info import INTRINSICS, CameraInfo, read_camera_info, write_camera_info
from lpds_ros.perception.calibration.guide import Guide
from lpds_ros.perception.calibration.hand_eye import HandEye, board_pose, calibrate_hand_eye
from lpds_ros.perception.calibration.records import CalibrationError, Kind, Sample
from lpds_ros.perception.calibration.session import RESULT, Session

HELP = "where a camera sits, on the hand or in the cell: lpds calibrate hand-eye runs/cal/wrist --kind eye_in_hand --live"
POSE, EFFECTOR, BASE = "franka_robot_state_broadcaster/current_pose", "fr3_hand_tcp", "base"
OPTICAL = "camera_color_optical_frame"


def add_arguments(parser):
    add_shared(parser)
    parser.add_argument(
        "--kind", choices=typing.get_args(Kind), required=True,
        help="eye_in_hand: camera on the hand, board fixed in the cell; eye_on_base: camera in the cell, board on the hand",
    )  # fmt: skip
    parser.add_argument("--camera", type=Path, help="camera_info YAML (default: the camera's own, or the folder's)")
    parser.add_argument("--samples", type=Path, help="a .samples file of easy_handeye2 in place of pictures")
    parser.add_argument("--pose-topic", default=POSE, help=f"PoseStamped of the hand in the base frame (default: {POSE})")
    parser.add_argument("--effector", default=EFFECTOR, help=f"the frame whose pose that is (default: {EFFECTOR})")
    parser.add_argument("--base", default="", help=f"its base frame (default: the poses' own, or {BASE})")
    parser.add_argument(
        "--camera-frame", default="", help="the camera's frame (default: of its pictures; live, the *_link above it)"
    )
    parser.add_argument("--name", default="", help="of the calibration (default: the folder's)")


def run(args) -> int:
    known = None
    if args.samples:
        info, samples = None, read_samples(args.samples, args.kind)
    else:
        session = session_of(args)
        if args.live:
            known = take(args, session, Guide(session, hand_eye=True, wanted=args.wanted), args.pose_topic)
        info = intrinsics_of(args, known)
        samples = samples_of(session, info)
    result = calibrate_hand_eye(samples, args.kind, info)
    report(result)
    frames, camera = placed(args, result, known)
    args.folder.mkdir(parents=True, exist_ok=True)
    out = args.out or args.folder / f"{frames.name}.calib"
    picture = args.picture or out.with_suffix(RESULT)
    write_calibration(out, Calibration(frames, transform_of(camera)))
    write_samples(args.folder / f"{frames.name}.samples", result.samples, frames)
    draw_hand_eye(result, picture)
    print(f"{out}: {frames.parent} -> {frames.tracking_base_frame}; launch with calibration:={out}, or copy it to")
    print(f"~/.ros2/easy_handeye2/calibrations; picture: {picture}")
    return 0


def intrinsics_of(args, known: Known | None) -> CameraInfo:
    """Those of --camera; or what the camera said of itself, which is kept in the folder for the next time.

    Raises CalibrationError without any, and where the folder has others, which may be a calibration's.
    """
    kept = args.folder / INTRINSICS
    if args.camera is not None:
        return read_camera_info(args.camera)
    if known is not None and known.info is not None:
        if kept.is_file() and read_camera_info(kept) != known.info:
            raise CalibrationError(
                f"{kept} has other intrinsics than the camera says: give --camera {kept} to calibrate with those, or move the "
                "file away to take the camera's own; the pictures are kept"
            )
        write_camera_info(kept, known.info)
        return known.info
    if kept.is_file():
        return read_camera_info(kept)
    raise CalibrationError(
        "no intrinsics: give --camera, as `lpds calibrate camera` writes it; without it the camera's own are taken, live, from "
        "camera_info beside its pictures"
    )


def samples_of(session: Session, info: CameraInfo) -> list[Sample]:
    """The pictures with board and pose; the others are named."""
    if session.size_px != info.size_px:
        raise CalibrationError(f"the intrinsics are for pictures of {info.size_px} px, those here have {session.size_px}")
    samples = []
    for picture in session.pictures:
        if picture.view is None or picture.hand is None:
            print(f"{picture.name}: {'no pose in poses.yaml' if picture.view else 'the board is not seen'}, left out")
        else:
            samples.append(Sample(picture.name, picture.hand, board_pose(picture.view, info), picture.view))
    return samples


def placed(args, result: HandEye, known: Known | None) -> tuple[Frames, np.ndarray]:
    """The frames of the file, and the camera's pose in its parent: of its link where /tf_static tells how that lies."""
    frame, base, camera = args.camera_frame or OPTICAL, args.base or BASE, result.camera
    if known is not None:
        frame, base = args.camera_frame or known.frame, args.base or known.base or BASE
        link = frame if args.camera_frame else known.fixed.first_above(frame, lambda name: name.endswith("_link"))
        camera, frame = camera @ known.fixed.lookup(known.frame, link), link
        if len(chain := known.fixed.chain(frame)) > 1:
            print(f"{frame} has a parent on /tf_static already, {chain[1]}: take that out before this one is published")
    return Frames(args.name or args.folder.resolve().name, args.kind, base, args.effector, frame), camera


def report(result: HandEye):
    """Print the figures."""
    for head, residuals in (("solver", result.methods), ("sample", result.residuals)):
        rows = [(name, f"{1e3 * m:.3f}", f"{np.rad2deg(rad):.3f}") for name, (m, rad) in residuals.items()]
        table([(head, "residual, mm", "degrees"), *rows])
        print()
    for name, why in result.left_out.items():
        print(f"{name} left out: {why}")
    turns = result.turns
    print(
        f"{len(result.samples)} samples, {turns.distinct} poses different; turns of the hand about its principal axes "
        f"{', '.join(f'{v:.1f}°' for v in np.rad2deg(turns.rms_rad))} (root mean square), {np.rad2deg(turns.most_rad):.0f}° at "
        f"most, axes up to {np.rad2deg(turns.between_rad):.0f}° apart"
    )
    if np.isfinite(result.rms_px):
        print(f"corners {result.rms_px:.3f} px off (root mean square), one camera pose and one board pose for all samples")
    print(
        f"camera at {np.round(1e3 * result.camera[:3, 3], 2).tolist()} mm ± {1e3 * result.sigma_m:.2f} mm, "
        f"± {np.rad2deg(result.sigma_rad):.3f}° (one standard deviation, by leaving out each sample)"
    )
