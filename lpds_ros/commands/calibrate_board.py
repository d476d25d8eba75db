"""`lpds calibrate board`: the board of the calibration at its true size, to print."""

from pathlib import Path

from lpds_ros.durable import write_whole
from lpds_ros.perception.calibration.board import load_board
from lpds_ros.perception.calibration.printing import board_pdf, board_png, page_m

HELP = "write the ChArUco board at its true size: lpds calibrate board board.pdf (or .png)"
DPI = 600


def add_arguments(parser):
    parser.add_argument("out", type=Path, nargs="?", default=Path("charuco.pdf"), help=".pdf or .png (default: charuco.pdf)")
    parser.add_argument("--board", default="", help="YAML of the board (default: the package's calibration/charuco.yaml)")
    parser.add_argument("--dpi", type=int, default=DPI, help=f"of a .png (default: {DPI})")


def run(args) -> int:
    board = load_board(args.board)
    if args.out.suffix not in (".pdf", ".png"):
        raise ValueError(f"{args.out}: end its name with .pdf or .png")
    if not 50 <= args.dpi <= 2400:
        raise ValueError(f"--dpi {args.dpi}: 50 to 2400")
    write_whole(args.out, board_pdf(board) if args.out.suffix == ".pdf" else board_png(board, args.dpi))
    (width, height), (page_width, page_height) = board.size_m, page_m(board)
    print(f"{args.out}: {1e3 * page_width:.0f} x {1e3 * page_height:.0f} mm. Print it at 100 %, glue it to something flat.")
    print(f"Then measure the chessboard: {1e3 * width:.1f} x {1e3 * height:.1f} mm; write what it is into the board's YAML.")
    return 0
