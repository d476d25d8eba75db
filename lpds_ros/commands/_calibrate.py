"""What `lpds calibrate camera` and `hand-eye` share: the folder of pictures, and taking more of them from a live camera."""

import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.perception.calibration.board import load_board
from lpds_ros.perception.calibration.camera_info import CameraInfo
from lpds_ros.perception.calibration.guide import Guide
from lpds_ros.perception.calibration.records import CalibrationError
from lpds_ros.perception.calibration.session import Session
from lpds_ros.perception.frames import FixedFrames

LOOK_S = 0.15  # between two looks at the camera: what moves less than a pixel meanwhile is at rest
SILENT_S = 5.0
COLOUR = "camera/camera/color/image_raw"


@dataclass(frozen=True)
class Known:
    """What a live camera and arm said: the pictures' frame, the poses' frame, the fixed frames, the camera's own intrinsics."""

    frame: str
    base: str
    fixed: FixedFrames
    info: CameraInfo | None


def add_shared(parser):
    parser.add_argument("folder", type=Path, help="folder of the pictures; one that has some is gone on with")
    parser.add_argument("--live", action="store_true", help="take pictures from a running camera first")
    parser.add_argument("--topic", default=COLOUR, help=f"the camera's pictures (default: {COLOUR})")
    parser.add_argument("--namespace", default="", help="of the stack or robot")
    parser.add_argument("--board", default="", help="YAML of the board (default: the package's calibration/charuco.yaml)")
    parser.add_argument("--wanted", type=int, default=0, help="end after so many that say enough (default: 20, poses 15)")
    parser.add_argument("--out", type=Path, help="the file to write (default: into the folder)")
    parser.add_argument("--picture", type=Path, help="the picture of the result (default: beside the file)")


def session_of(args) -> Session:
    """The folder's session. Raises ConfigError."""
    if not args.live and not args.folder.is_dir():
        raise CalibrationError(f"{args.folder}: no such folder; --live takes pictures into it")
    return Session(args.folder, load_board(args.board))


def take(args, session: Session, guide: Guide, pose_topic: str = "") -> Known:
    """Take pictures until there are enough of them, or Ctrl-C. Raises CalibrationError when none came."""
    from lpds_ros.nodes.calibration import Listener

    stop, said, heard_s, last = threading.Event(), "", time.monotonic(), None
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    print(f"{len(session.pictures)} pictures in {session.folder}. Taken by themselves while board and arm rest; Ctrl-C: enough.")
    try:
        with Listener(args.topic, pose_topic, args.namespace) as listener:
            while not (stop.wait(LOOK_S) or (guide.done and last is not None)):
                listener.check()
                heard = listener.node.take()
                if heard is None:
                    silent_s = time.monotonic() - heard_s
                    text = f"nothing on {args.topic}: is the camera running?" if silent_s > SILENT_S else said
                else:
                    heard_s, last = time.monotonic(), heard
                    text = _look(session, guide, heard)
                if text != said:
                    said = text
                    print(f"    {said}", flush=True)
            fixed, info = listener.node.frames, listener.node.info
    finally:
        signal.signal(signal.SIGINT, before)
    if last is None:
        raise CalibrationError(f"no picture came on {args.topic}: is the camera running, in this ROS_DOMAIN_ID and --namespace?")
    return Known(last.frame, last.base, fixed, info)


def _look(session: Session, guide: Guide, heard) -> str:
    """Take the picture if it is worth it; what to do next."""
    view = session.board.detect(heard.image)
    if reason := guide.refusal(heard.image, view, heard.hand):
        return reason
    picture = session.add(heard.image, view, heard.hand)
    print(f"{picture.name}: {len(view.ids)} corners; {guide.taken} of {guide.wanted}", flush=True)
    return guide.next()


def table(rows: list[tuple]):
    """Print rows in columns, the first to the left, the others to the right; the first row is the head."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [f"{row[0]:<{widths[0]}}", *(f"{cell!s:>{width}}" for cell, width in zip(row[1:], widths[1:]))]
        print("  ".join(cells).rstrip())
