"""One RealSense camera through librealsense: opened by serial, read picture by picture, depth aligned to colour on demand.

    camera = RealSense(CameraSettings(serial="012345678901"), librealsense())
    camera.open(); frame = camera.read(); camera.close()

A recording plays in its place through the very same pipeline (`file`). One thread's business, all of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lpds_ros.perception.camera_clock import HARDWARE, CameraClock
from lpds_ros.perception.cameras import NAME, NAMESPACE, Profile
from lpds_ros.perception.librealsense import CameraError, profiles
from lpds_ros.perception.rgbd import MILLIMETRE_M, RgbdFrame, in_millimetres, pinhole

LOOK_S = 0.1
RESET_S = 2.0  # from a reset to the camera's leaving the bus; it is back some seconds later
STALE_NS = 500_000_000  # a picture older than this when it arrives is shown to nobody


class CameraLostError(RuntimeError):
    """An open camera gives no pictures any more."""


@dataclass(frozen=True)
class CameraSettings:
    """name: what it is called where something is said of it. serial: "" takes the only camera plugged in. depth: stream it
    beside the colour. file: a recording to play instead; loop: again and again; real_time: at its own pace.

    attempts: to start it, with a hardware reset before every one but the first (`reset`: before that too). appear_s: how long it
    may take to be found. silence_s: without a picture for so long, it is lost. warm_up_s: of first pictures, not shown while the
    exposure settles.
    """

    name: str = f"{NAMESPACE}/{NAME}"
    serial: str = ""
    profile: Profile = field(default_factory=lambda: Profile(640, 480, 30))
    depth: bool = True
    file: str = ""
    loop: bool = False
    real_time: bool = True
    attempts: int = 3
    reset: bool = False
    appear_s: float = 5.0
    silence_s: float = 1.0
    warm_up_s: float = 1.0


class RealSense:
    """See the module's docstring. library: what `librealsense` returns. say: called with what a person should know.

    `serial`, `colour` (intrinsics), `depth_m` (of one unit of depth) and `colour_in_depth` (rotation [3, 3] and translation
    [3] m of the colour camera's optical frame in the depth camera's) are known once it is open; without depth the last is None.
    """

    def __init__(self, settings: CameraSettings, library, *, say: Callable[[str], None] = lambda text: None, clock=None):
        self.settings, self._rs, self._say = settings, library, say
        self._clock = clock or CameraClock()
        self._context, self._pipeline = library.context(), None
        self._align = library.align(library.stream.color)
        self._shown_from_s = 0.0
        self.serial, self.colour, self.depth_m, self.colour_in_depth = "", None, MILLIMETRE_M, None

    @property
    def label(self) -> str:
        """How the camera is called where something is said of it."""
        which = f"recording {self.settings.file}" if self.settings.file else f"serial {self.settings.serial or 'any'}"
        return f"camera '{self.settings.name}' ({which})"

    # -- opening --------------------------------------------------------------

    def open(self, give_up: Callable[[], bool] = lambda: False):
        """Start the streams. give_up: whether to end the waiting. Raises CameraError after the last attempt.

        Once it was open, only the camera with the same serial is opened again.
        """
        self.close()
        if self.settings.file:
            return self._start_file()
        problem = "asked to end"
        for attempt in range(self.settings.attempts):
            device = self._find(give_up)
            if device is None:
                problem = f"it is not there; plugged in: {', '.join(self._serials()) or 'none'}"
                break
            try:
                if attempt or self.settings.reset:
                    self._reset(device, give_up, attempt)
                return self._start(self._rs.config())
            except RuntimeError as error:
                problem = str(error)
                self._say(f"{self.label}: {problem}")
            if give_up():
                break
        raise CameraError(f"{self.label}: {problem}", self._remedy(problem))

    def _reset(self, device, give_up, attempt: int):
        """Raises RuntimeError where it does not come back."""
        self._say(f"{self.label}: hardware reset, attempt {attempt + 1} of {self.settings.attempts}")
        device.hardware_reset()
        time.sleep(RESET_S)
        if self._find(give_up) is None:
            raise RuntimeError(f"it is not there {RESET_S + self.settings.appear_s:g} s after a hardware reset")

    def _serials(self) -> dict[str, object]:
        serial = self._rs.camera_info.serial_number
        try:
            return {device.get_info(serial): device for device in self._context.query_devices()}
        except RuntimeError as error:  # also of a camera that vanishes while it is asked
            raise CameraError(f"{self.label}: {error}", self._remedy(str(error))) from error

    def _find(self, give_up):
        """The device, or None when it has not appeared in time. Raises CameraError where it is not clear which is meant."""
        wanted, end_s = self.settings.serial or self.serial, time.monotonic() + self.settings.appear_s
        while True:
            there = self._serials()
            if not wanted and len(there) > 1:
                raise CameraError(f"{self.label}: {', '.join(sorted(there))} are plugged in", "say which by its serial")
            found = there.get(wanted) if wanted else next(iter(there.values()), None)
            if found is not None or give_up() or time.monotonic() >= end_s:
                return found
            time.sleep(LOOK_S)

    def _remedy(self, problem: str) -> str:
        if "resolve" in problem:
            there = self._offered()
            return f"set another profile than {self.settings.profile} (on USB 2 few are left){there and f': it has {there}'}"
        if "busy" in problem.lower() or "errno=16" in problem:
            return "another process has it open: end that one"
        if "not there" in problem:
            return "plug it into USB 3, check its serial; inside a container pass the device in"
        return "replug it; install librealsense's udev rules"

    def _offered(self) -> str:
        """The profiles of the camera, asked anew: a reset has made void what was found before. "" where it does not answer."""
        try:
            device = self._find(lambda: True)
            return ", ".join(map(str, profiles(self._rs, device, self.settings.depth))) if device else ""
        except (RuntimeError, CameraError):
            return ""

    def _start_file(self):
        path = Path(self.settings.file)
        if not path.is_file():
            raise CameraError(self.label, "there is no such file")
        config = self._rs.config()
        try:
            config.enable_device_from_file(str(path), repeat_playback=self.settings.loop)
            self._start(config)
        except RuntimeError as error:
            raise CameraError(f"{self.label}: {error}", "it must be a recording of librealsense, .db3 or .bag") from error

    def _start(self, config):
        rs, p = self._rs, self.settings.profile
        if not self.settings.file:
            if wanted := self.settings.serial or self.serial:
                config.enable_device(wanted)
            config.enable_stream(rs.stream.color, p.width_px, p.height_px, rs.format.rgb8, p.rate_hz)
            if self.settings.depth:
                config.enable_stream(rs.stream.depth, p.width_px, p.height_px, rs.format.z16, p.rate_hz)
        pipeline = rs.pipeline()
        if self.settings.file:
            playback = config.resolve(rs.pipeline_wrapper(pipeline)).get_device().as_playback()
            playback.set_real_time(self.settings.real_time)
        started = pipeline.start(config)
        try:
            self._learn(started, started.get_device())
        except BaseException:
            pipeline.stop()
            raise
        self._pipeline = pipeline
        self._clock.restart()
        self._shown_from_s = time.monotonic() + (0.0 if self.settings.file else self.settings.warm_up_s)

    def _learn(self, started, device):
        rs = self._rs
        self.serial = device.get_info(rs.camera_info.serial_number)
        streams = {s.stream_type(): s.as_video_stream_profile() for s in started.get_streams()}
        if rs.stream.color not in streams:
            raise RuntimeError("it has no colour stream")
        if (pixel := streams[rs.stream.color].format()) != rs.format.rgb8:  # a recording has what was recorded
            raise RuntimeError(f"its colour is {pixel.name}, and must be rgb8")
        self.colour = pinhole(rs, streams[rs.stream.color].get_intrinsics())
        self.colour_in_depth = None
        if self.settings.depth:
            if rs.stream.depth not in streams:
                raise RuntimeError("it has no depth stream: set depth to false")
            self.depth_m = device.first_depth_sensor().get_depth_scale()
            between = streams[rs.stream.color].get_extrinsics_to(streams[rs.stream.depth])
            rotation = np.array(between.rotation).reshape(3, 3, order="F")
            self.colour_in_depth = rotation, np.array(between.translation)

    # -- reading --------------------------------------------------------------

    def read(self, aligned: bool = True) -> RgbdFrame:
        """The next picture. aligned: with the depth of the same moment, where there is one (half the time of a picture).

        Raises CameraLostError when none has come for `silence_s`, or the recording is over.
        """
        end_s = max(time.monotonic(), self._shown_from_s) + self.settings.silence_s
        while (left_s := end_s - time.monotonic()) > 0.0:
            try:
                frames = self._pipeline.wait_for_frames(max(1, round(1000 * left_s)))
                frame = self._frame(frames, aligned and self.settings.depth)
            except RuntimeError as error:
                raise CameraLostError(f"{self.label}: {error}") from error
            if frame is not None:
                return frame
        raise CameraLostError(f"{self.label}: no new picture for {self.settings.silence_s:g} s")

    def _frame(self, frames, aligned: bool) -> RgbdFrame | None:
        """None where the picture is not to be shown: without depth, the last one again, stale, or of the warm-up."""
        deep = frames.get_depth_frame() if self.settings.depth else None
        if self.settings.depth and not deep:
            return None
        colour = frames.get_color_frame()
        if not colour:
            return None
        domain = HARDWARE if self.settings.file else colour.get_frame_timestamp_domain().name
        stamp_ns = self._clock.stamp(colour.get_timestamp(), domain)
        if stamp_ns is None or time.monotonic() < self._shown_from_s or time.time_ns() - stamp_ns > STALE_NS:
            return None
        depth = None
        # A frameset has the newest depth there is: without a new one, that of another moment.
        if aligned and abs(deep.get_timestamp() - colour.get_timestamp()) <= 1000.0 / self.settings.profile.rate_hz:
            depth = in_millimetres(np.asanyarray(self._align.process(frames).get_depth_frame().get_data()), self.depth_m)
        picture = np.array(colour.get_data())  # a copy: librealsense needs its buffers back
        return RgbdFrame(stamp_ns, colour.get_frame_number(), picture, depth)

    def close(self):
        """End the streams, if there are any."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            try:
                pipeline.stop()
            except RuntimeError as error:
                self._say(f"{self.label}: {error}")
