"""`lpds calibrate markers`: the markers of a marker file at their true size, to print."""

from pathlib import Path

from lpds_ros.durable import write_whole
from lpds_ros.perception.calibration.printing import markers_pdf
from lpds_ros.perception.marker_set import load_markers

HELP = "write the markers of an object at their true size: lpds calibrate markers calibration/markers_cube.yaml markers.pdf"


def add_arguments(parser):
    parser.add_argument("markers", type=Path, help="YAML of the object's markers")
    parser.add_argument("out", type=Path, nargs="?", default=Path("markers.pdf"), help="the PDF (default: markers.pdf)")


def run(args) -> int:
    markers = load_markers(args.markers)
    write_whole(args.out, markers_pdf(markers))
    sizes = ", ".join(f"{m.id} ({1e3 * m.size_m:g} mm)" for m in markers.markers)
    print(f"{args.out}: {markers.dictionary}, from the left {sizes}. Print it at 100 %, leave white round each.")
    return 0
