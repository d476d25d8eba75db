"""Boards and markers on paper at their true size: a PDF of rectangles, or a PNG that carries its resolution."""

import struct
import zlib

import cv2
import numpy as np

from lpds_ros.perception.calibration.board import Board, black_cells
from lpds_ros.perception.marker_set import MarkerSet

POINTS_PER_M = 72.0 / 0.0254
MARGIN_M = 0.006  # of white round the chessboard, without which its outer markers are not found
WHITE = 0.25  # round a single marker, times its side: half of it may be cut off


def page_m(board: Board) -> tuple[float, float]:
    """Width and height of the page: the chessboard and its margin."""
    width, height = board.size_m
    return width + 2 * MARGIN_M, height + 2 * MARGIN_M


def board_pdf(board: Board) -> bytes:
    """One page, as large as board and margin: print it at 100 %, not fitted to the paper."""
    return pdf(board.black() + MARGIN_M, page_m(board))


def pdf(black: np.ndarray, size_m: tuple[float, float]) -> bytes:
    """A page of this width and height with black rectangles [n, 4] as x0, y0, x1, y1 m from its top left corner."""
    width, height = (v * POINTS_PER_M for v in size_m)
    boxes = black * POINTS_PER_M
    drawing = "\n".join(f"{x0:.4f} {height - y1:.4f} {x1 - x0:.4f} {y1 - y0:.4f} re" for x0, y0, x1, y1 in boxes)
    stream = f"0 g\n{drawing}\nf\n".encode()
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.4f} {height:.4f}] /Contents 4 0 R /Resources << >> >>".encode(),
        b"<< /Length %d >>\nstream\n%sendstream" % (len(stream), stream),
    )
    content, starts = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        starts.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(starts) + 1, len(content))
    return content + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (len(starts) + 1, table, end)


def board_image(board: Board, pixels_per_m: float) -> np.ndarray:
    """Board and margin, uint8 [h, w], black 0 on white 255; edges lie at the nearest whole pixel."""
    width, height = (round(v * pixels_per_m) for v in page_m(board))
    image = np.full((height, width), 255, np.uint8)
    for x0, y0, x1, y1 in np.rint((board.black() + MARGIN_M) * pixels_per_m).astype(int):
        image[y0:y1, x0:x1] = 0
    return image


def board_png(board: Board, dpi: int) -> bytes:
    """`board_image` as PNG with its resolution in it, so that a printer knows its size."""
    per_m = round(dpi / 0.0254)
    png = cv2.imencode(".png", board_image(board, per_m))[1].tobytes()
    chunk = b"pHYs" + struct.pack(">IIB", per_m, per_m, 1)
    after_header = 8 + 25  # the signature, and IHDR with its length and checksum
    return png[:after_header] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[after_header:]


def markers_pdf(markers: MarkerSet) -> bytes:
    """One page with every marker of the set at its size, in a row, in the set's order, each in the white it needs round it."""
    boxes, left, tallest = [], 0.0, 0.0
    for marker in markers.markers:
        pitch = marker.size_m * (1 + 2 * WHITE)
        boxes.append(black_cells(markers.dictionary, marker.id, marker.size_m) + marker.size_m * WHITE + [left, 0.0, left, 0.0])
        left, tallest = left + pitch, max(tallest, pitch)
    return pdf(np.concatenate(boxes), (left, tallest))
