"""`lpds calibrate camera`: a camera's intrinsics from pictures of the ChArUco board, guided or from a folder."""

import numpy as np

from lpds_ros.commands._calibrate import add_shared, session_of, table, take
from lpds_ros.commands._calibration_picture import draw_camera
from lpds_ros.perception.calibration.camera_info import INTRINSICS, write_camera_info
from lpds_ros.perception.calibration.guide import Guide
from lpds_ros.perception.calibration.intrinsics import FLAGS, CameraCalibration, calibrate_camera
from lpds_ros.perception.calibration.session import RESULT

HELP = "a camera's intrinsics from pictures of the ChArUco board: lpds calibrate camera runs/cal/front --live"


def add_arguments(parser):
    add_shared(parser)
    parser.add_argument("--name", default="camera", help="camera_name in the file (default: camera)")
    parser.add_argument(
        "--model", choices=tuple(FLAGS), default="plumb_bob",
        help="of the distortion; rational_polynomial for lenses wider than 90° (default: plumb_bob)",
    )  # fmt: skip


def run(args) -> int:
    session = session_of(args)
    if args.live:
        take(args, session, Guide(session, hand_eye=False, wanted=args.wanted))
    for picture in session.pictures:
        if picture.view is None:
            print(f"{picture.name}: the board is not seen, left out")
    result = calibrate_camera(session.views, session.size_px, args.name, args.model)
    report(result)
    out = args.out or session.folder / INTRINSICS
    picture = args.picture or out.with_suffix(RESULT)
    write_camera_info(out, result.info)
    draw_camera(result, picture)
    print(f"{out}: for ROS, camera_info_url: file://{out.resolve()}; picture: {picture}")
    return 0


def report(result: CameraCalibration):
    """Print the figures."""
    rows = [(v.name, len(v.ids), f"{result.view_rms_px[v.name]:.3f}") for v in result.views]
    table([("view", "corners", "residual, px"), *rows])
    for name, why in result.left_out.items():
        print(f"{name} left out: {why}")
    k, seen = result.info.k, result.excitation
    for name, value, deviation in zip(("fx", "fy", "cx", "cy"), (k[0, 0], k[1, 1], k[0, 2], k[1, 2]), result.sigmas):
        print(f"{name} {value:8.2f} ± {deviation:.2f} px")
    print(f"distortion ({result.info.distortion_model}) {np.round(result.info.d, 5).tolist()}")
    print(
        f"residual {result.rms_px:.3f} px (root mean square), {len(result.views)} views, {seen.distinct} of them different, "
        f"tilts up to {np.rad2deg(seen.tilt_rad):.0f}° apart, corners in {100 * seen.coverage:.0f} % of the picture's cells"
    )
