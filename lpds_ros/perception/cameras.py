"""Which cameras there are, by name, and the topics that go with a name: those of realsense2_camera.

A camera has a namespace and a name, both `camera` unless told otherwise; two of them are told apart by their names.
"""

import re
from dataclasses import dataclass

from lpds_ros.contract import Contract

NAMESPACE = NAME = "camera"
PROFILE = re.compile(r"([1-9]\d{1,3})[x,]([1-9]\d{1,3})[x,]([1-9]\d{0,2})")


class CameraListError(ValueError):
    """Names, serials or a profile that cannot be read; the text says how they are written."""


@dataclass(frozen=True)
class Profile:
    """Of a camera's streams: pixels, and pictures a second."""

    width_px: int
    height_px: int
    rate_hz: int

    def __str__(self) -> str:
        return f"{self.width_px}x{self.height_px}x{self.rate_hz}"


def read_profile(text: str) -> Profile:
    """`640x480x30`, as realsense2_camera takes it. Raises CameraListError."""
    match = PROFILE.fullmatch(text.strip())
    if not match:
        raise CameraListError(f"profile '{text}': expected width x height x rate, for example 640x480x30")
    return Profile(*map(int, match.groups()))


def read_serials(text: str) -> dict[str, str]:
    """`camera=012345678901,wrist=…` to serials by name; "" to one named camera of any serial. Raises CameraListError."""
    if not text.strip():
        return {NAME: ""}
    serials: dict[str, str] = {}
    for word in text.split(","):
        name, _, serial = (part.strip() for part in word.partition("="))
        if not re.fullmatch(r"[A-Za-z]\w*", name) or not re.fullmatch(r"\w+", serial):
            raise CameraListError(f"'{word}': expected name=serial, for example camera=012345678901,wrist=012345678902")
        if name in serials or serial in serials.values():
            raise CameraListError(f"'{word}': every camera needs a name and a serial of its own")
        serials[name] = serial
    return serials


def colour_topic(name: str) -> str:
    """Where a camera's colour images are."""
    return f"{NAMESPACE}/{name}/color/image_raw"


def info_topic(image_topic: str) -> str:
    """Where the intrinsics of the pictures on a topic are: beside them, as image_transport has it."""
    return image_topic[: image_topic.rfind("/") + 1] + "camera_info"


def image_topics(contract: Contract) -> dict[str, str]:
    """Topics of the contract's image streams by the stream's name."""
    return {name: contract.streams[name].topic for name in contract.images}
