"""Pictures as training and serving see them: a camera's bytes to the RGB picture of a contract, the same bits everywhere.

The reduction is the mean over the area of each new pixel, in whole numbers: exact weights, one rounding at the end. No library's
resize gives the same bits in each of its versions and on each processor.
"""

from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Stream

ENCODINGS = {"rgb8": slice(None), "bgr8": slice(None, None, -1)}  # of sensor_msgs/Image, to the order of RGB


class ImageError(ValueError):
    """A picture that cannot be used; the text says why and what to set."""


@dataclass(frozen=True)
class Picture:
    """An image as a camera sends it (sensor_msgs/Image). step_bytes: of a row. data: anything with a buffer."""

    stamp_ns: int
    encoding: str
    width_px: int
    height_px: int
    step_bytes: int
    data: object

    def rgb(self) -> np.ndarray:
        """uint8 [h, w, 3], a view. Raises ImageError for another encoding, or bytes that are no such picture."""
        if self.encoding not in ENCODINGS:
            raise ImageError(f"its encoding is {self.encoding!r}: set the camera to {' or '.join(ENCODINGS)}")
        raw, row = np.frombuffer(self.data, np.uint8), 3 * self.width_px
        if min(self.width_px, self.height_px) < 1 or self.step_bytes < row or raw.size != self.step_bytes * self.height_px:
            raise ImageError(
                f"{raw.size} bytes are no picture of {self.width_px} x {self.height_px} pixels in rows of {self.step_bytes}"
            )
        pixels = raw.reshape(self.height_px, self.step_bytes)[:, :row].reshape(self.height_px, self.width_px, 3)
        return pixels[..., ENCODINGS[self.encoding]]


def fitted(rgb: np.ndarray, stream: Stream) -> np.ndarray:
    """The picture uint8 [height_px, width_px, 3] that a stream of images asks for, made of uint8 [h, w, 3].

    Raises ImageError where the camera gives fewer pixels: nothing is made up.
    """
    width, height = stream.width_px, stream.height_px
    rows, columns = rgb.shape[:2]
    if stream.fit == "crop":
        # The largest part of the middle with the shape asked for, in whole pixels.
        cropped = min(columns, max(1, rows * width // height)), min(rows, max(1, columns * height // width))
        left, top = (columns - cropped[0]) // 2, (rows - cropped[1]) // 2
        columns, rows = cropped
        rgb = rgb[top : top + rows, left : left + columns]
    if columns < width or rows < height:
        raise ImageError(
            f"of its picture {columns} x {rows} pixels are there, the contract's is {width} x {height}: "
            "set the camera to a higher resolution"
        )
    if (columns, rows) == (width, height):
        return np.ascontiguousarray(rgb)
    if rows * columns > 1 << 24:
        raise ImageError(f"{columns} x {rows} pixels are more than can be summed exactly: set the camera to a lower resolution")
    summed = _summed(_summed(rgb.astype(np.uint32), height).transpose(1, 0, 2), width).transpose(1, 0, 2)
    area = rows * columns  # of one new pixel, in units of which an old one has width * height
    return np.ascontiguousarray(((summed + np.uint32(area // 2)) // np.uint32(area)).astype(np.uint8))


def _summed(pixels: np.ndarray, count: int) -> np.ndarray:
    """Sums over the first axis, n to `count` of them: uint32, each weighed by how much of it a new one covers (in all: n)."""
    n = len(pixels)
    if n % count == 0:
        return count * pixels.reshape(count, n // count, *pixels.shape[1:]).sum(axis=1, dtype=np.uint32)
    starts = np.arange(count) * n // count
    total = np.zeros((count, *pixels.shape[1:]), np.uint32)
    for tap in range(-(-n // count) + 1):
        old = starts + tap
        low, high = np.maximum(old * count, np.arange(count) * n), np.minimum((old + 1) * count, np.arange(1, count + 1) * n)
        weight = np.maximum(high - low, 0).astype(np.uint32)
        total += weight.reshape(-1, *[1] * (pixels.ndim - 1)) * pixels[np.minimum(old, n - 1)]
    return total
