"""Pictures to mp4 and back, in LeRobot's default encoding. Needs PyAV. Lossy: what comes back is near what went in, not equal."""

import contextlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np

from lpds_ros.data.demonstration import MAX_TICKS, DemoError

CODEC, PIXELS = "libsvtav1", "yuv420p"
OPTIONS = {"g": "2", "crf": "30", "preset": "12", "svtav1-params": "lp=1"}
MAX_SIDE_PX = 4096
MAX_BYTES = 8 << 30  # of decoded pictures at once


def _apart(call):
    """What `call` returns, made in a thread of its own; the threads that it starts get the caller's scheduler.

    As root, SVT-AV1 puts the thread that opens it, and its own, under SCHED_FIFO at 99 and leaves them there: they, and the DDS
    threads that such a thread starts, would come before an arm's control. The C library remembers it of the opening thread
    even when the kernel is told otherwise, so that one has to end.
    """
    own, there = (os.sched_getscheduler(0), os.sched_getparam(0)), set(os.listdir("/proc/self/task"))
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(call).result()
    finally:
        for thread in set(os.listdir("/proc/self/task")) - there:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.sched_setscheduler(int(thread), *own)


class VideoWriter:
    """Writes pictures uint8 [height, width, 3] RGB, `fps` a second. A context manager. Raises DemoError for odd sizes."""

    def __init__(self, path, fps: int, height: int, width: int):
        import av

        if height % 2 or width % 2 or not 0 < max(height, width) <= MAX_SIDE_PX:
            raise DemoError(f"{path}: a video needs even sides of at most {MAX_SIDE_PX} pixels, not {width} x {height}")
        self.path, self.fps, self.frames = Path(path), fps, 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("SVT_LOG", "1")  # errors only: the encoder would write some twenty lines for each file
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream(CODEC, Fraction(fps), options=OPTIONS)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, PIXELS

    def add(self, picture: np.ndarray):
        """Append one picture."""
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = self.frames, Fraction(1, self.fps)
        self._encode(frame)
        self.frames += 1

    @property
    def seconds(self) -> float:
        """Length so far: where the next picture will be."""
        return self.frames / self.fps

    @property
    def size(self) -> int:
        """Bytes on the disk so far; the encoder may hold some pictures back."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self):
        """Finish the file."""
        self._encode(None)
        self._container.close()

    def _encode(self, frame):
        opened = self._stream.codec_context.is_open
        self._container.mux(self._stream.encode(frame) if opened else _apart(lambda: self._stream.encode(frame)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_frames(path, at_s: Sequence[float], fps: float, shape: Sequence[int]) -> np.ndarray:
    """uint8 [T, height, width, 3] RGB: the pictures of a video at ascending times, to a quarter of a frame's time.

    shape: (height, width, 3) that they must have. Raises DemoError where one is missing or of another size.
    """
    import av

    found, tolerance_s = np.empty(_checked(len(at_s), shape, path), np.uint8), 0.25 / fps
    count = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if (stream.height, stream.width) != found.shape[1:3]:
                raise DemoError(f"{path}: pictures of {stream.width} x {stream.height}, said to be {shape[1]} x {shape[0]}")
            stream.codec_context.thread_count = 1
            with contextlib.suppress(av.FFmpegError):  # a file without an index is read from its beginning
                container.seek(max(0, int((at_s[0] - tolerance_s) / stream.time_base)), stream=stream)
            for frame in container.decode(stream):
                if count == len(at_s) or frame.time is None or frame.time > at_s[count] + tolerance_s:
                    break
                if frame.time >= at_s[count] - tolerance_s:
                    found[count] = frame.to_ndarray(format="rgb24")
                    count += 1
    except DemoError:
        raise
    except (av.FFmpegError, OSError, LookupError, ValueError, AttributeError) as error:  # a stream of no known codec has no size
        raise DemoError(f"{path}: not a readable video: {error}") from None
    if count < len(at_s):
        raise DemoError(f"{path}: no picture at {at_s[count]:.3f} s, {fps:g} a second expected")
    return found


def read_pictures(contents: Sequence[bytes], shape: Sequence[int], where: str) -> np.ndarray:
    """uint8 [T, height, width, 3] RGB of image files (PNG, JPEG). Raises DemoError for one of another size, or that is none."""
    import av

    found = np.empty(_checked(len(contents), shape, where), np.uint8)
    try:
        for i, content in enumerate(contents):
            with av.open(io.BytesIO(content)) as container:
                stream = container.streams.video[0]
                if (stream.height, stream.width) != found.shape[1:3]:
                    raise DemoError(f"{where}: picture {i} has {stream.width} x {stream.height} pixels")
                found[i] = next(container.decode(stream)).to_ndarray(format="rgb24")
    except DemoError:
        raise
    except (av.FFmpegError, OSError, LookupError, ValueError, AttributeError, StopIteration) as error:
        raise DemoError(f"{where}: picture {i} is not readable: {error}") from None
    return found


def _checked(count: int, shape: Sequence[int], where) -> tuple[int, int, int, int]:
    """(count, height, width, 3). Raises DemoError for more than is read at once."""
    height, width = int(shape[0]), int(shape[1])
    size = 3 * count * height * width
    if not 1 <= count <= MAX_TICKS or not 0 < min(height, width) <= max(height, width) <= MAX_SIDE_PX or size > MAX_BYTES:
        raise DemoError(f"{where}: {count} pictures of {width} x {height}; at most {MAX_BYTES >> 30} GiB are read")
    return count, height, width, 3
