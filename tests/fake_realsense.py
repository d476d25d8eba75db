"""As much of pyrealsense2 as lpds_ros uses, for faults that a recording cannot show: cameras that are busy, vanish and return."""

from types import SimpleNamespace

import numpy as np

WIDTH, HEIGHT = 8, 6


class Sdk:
    """Stands in for the module. serials: plugged in. failures: what the next starts raise, one each, then none. Pictures are
    taken from `pictures`; an empty list is silence. `said`: what was asked of it, in order.
    """

    usb = "3.2"
    rotation = np.eye(3)  # of the colour camera in the depth camera; librealsense says it column by column

    def __init__(self, serials=("A1",), failures=()):
        self.serials, self.failures, self.said, self.pictures = list(serials), list(failures), [], []
        self.bus = []  # what asking for the cameras raises, one each
        self.stream = SimpleNamespace(color="color", depth="depth")
        self.format = SimpleNamespace(rgb8="rgb8", z16="z16")
        self.distortion = SimpleNamespace(kannala_brandt4="kannala_brandt4")
        self.camera_info = SimpleNamespace(serial_number="serial", name="name", usb_type_descriptor="usb")
        self.config, self.pipeline = lambda: Config(), lambda: Pipeline(self)
        self.context = lambda: SimpleNamespace(query_devices=self.devices)
        self.align = lambda stream: SimpleNamespace(process=lambda frames: frames)

    def devices(self):
        if self.bus:
            raise RuntimeError(self.bus.pop(0))
        return [Device(self, serial) for serial in self.serials]

    def show(self, number: int, own_ms: float, depth: bool = True, depth_ms: float | None = None):
        """One more picture, of pixels worth its number. depth_ms: time of its depth, if it is another."""
        self.pictures.append(Frames(number, own_ms, depth, own_ms if depth_ms is None else depth_ms))


class Config:
    serial = ""

    def enable_device(self, serial):
        self.serial = serial

    def enable_stream(self, *stream):
        pass


class Device:
    def __init__(self, sdk, serial):
        self.sdk, self.serial = sdk, serial

    def get_info(self, which):
        return {"serial": self.serial, "name": "RealSense D435", "usb": self.sdk.usb}[which]

    def query_sensors(self):
        streams = [("color", "rgb8", size) for size in ((640, 360, 30), (424, 240, 60), (320, 180, 6))]
        streams += [("depth", "z16", size) for size in ((424, 240, 60), (640, 360, 30), (1280, 720, 30))]
        return [SimpleNamespace(get_stream_profiles=lambda: [Offered(*stream) for stream in streams])]

    def supports(self, which):
        return which != "usb" or bool(self.sdk.usb)

    def hardware_reset(self):
        self.sdk.said.append(f"reset {self.serial}")

    def first_depth_sensor(self):
        return SimpleNamespace(get_depth_scale=lambda: 0.001)


class Offered:
    def __init__(self, kind, pixel, size):
        self.stream_type, self.format, self.as_video_stream_profile = lambda: kind, lambda: pixel, lambda: self
        self.width, self.height, self.fps = (lambda value=value: value for value in size)


class Pipeline:
    def __init__(self, sdk):
        self.sdk = sdk

    def start(self, config):
        self.sdk.said.append(f"start {config.serial}")
        if self.sdk.failures:
            raise RuntimeError(self.sdk.failures.pop(0))
        profile = SimpleNamespace(
            format=lambda: self.sdk.format.rgb8,
            get_intrinsics=lambda: SimpleNamespace(
                width=WIDTH, height=HEIGHT, fx=7.0, fy=7.0, ppx=3.5, ppy=2.5, model="none", coeffs=[0.0] * 5
            ),
            get_extrinsics_to=lambda other: SimpleNamespace(
                rotation=self.sdk.rotation.T.ravel().tolist(), translation=[0.0] * 3
            ),
        )
        streams = [
            SimpleNamespace(stream_type=lambda kind=kind: kind, as_video_stream_profile=lambda: profile)
            for kind in ("color", "depth")
        ]
        device = Device(self.sdk, config.serial or self.sdk.serials[0])
        return SimpleNamespace(get_device=lambda: device, get_streams=lambda: streams)

    def wait_for_frames(self, timeout_ms):
        if not self.sdk.pictures:
            raise RuntimeError(f"Frame didn't arrive within {timeout_ms}")
        return self.sdk.pictures.pop(0)

    def stop(self):
        self.sdk.said.append("stop")


class Frames:
    def __init__(self, number, own_ms, depth, depth_ms):
        self.number, self.own_ms, self.depth, self.depth_ms = number, own_ms, depth, depth_ms

    def get_color_frame(self):
        return SimpleNamespace(
            get_frame_number=lambda: self.number,
            get_timestamp=lambda: self.own_ms,
            get_frame_timestamp_domain=lambda: SimpleNamespace(name="global_time"),
            get_data=lambda: np.full((HEIGHT, WIDTH, 3), self.number % 256, np.uint8),
        )

    def get_depth_frame(self):
        if not self.depth:
            return None
        return SimpleNamespace(
            get_timestamp=lambda: self.depth_ms, get_data=lambda: np.full((HEIGHT, WIDTH), self.number, np.uint16)
        )
