"""ROS message definitions without ROS: the common ones from rosbags, others from .msg files of installed packages."""

import os
import re
import sys
from pathlib import Path

from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from lpds_ros.resources import roots

DECISION, EPISODE = "lpds_msgs/msg/Decision", "lpds_msgs/msg/Episode"
SEPARATOR = "=" * 80
MAX_TEXT = 1 << 16
# All that a definition out of a log may hold: a field, or a whole number with a name. rosbags makes Python code of it and runs
# it, so nothing else gets that far: no default values, no texts.
LINE = re.compile(r"[A-Za-z]\w*(/\w+){0,2}(<=\d{1,4})?(\[(<=)?\d{0,4}\])?\s+[A-Za-z]\w*(\s*=\s*-?\d{1,20})?", re.ASCII)
TITLE = re.compile(r"MSG: [A-Za-z]\w*(/msg)?/[A-Za-z]\w*", re.ASCII)


class DefinitionError(ValueError):
    """A message type whose definition is nowhere, or cannot be read."""


class Definitions:
    """A growing set of message types. `store` is the rosbags typestore that encodes and decodes them."""

    def __init__(self):
        self.store = get_typestore(Stores.ROS2_JAZZY)
        self._texts: dict[str, str] = {}

    def require(self, typename: str):
        """Make `pkg/msg/Type` and what it contains known. Raises DefinitionError naming where it was looked for."""
        if typename in self.store.fielddefs:
            return
        package = typename.split("/")[0]
        folders = message_folders(package)
        files = [file for folder in folders[:1] for file in sorted(folder.glob("*.msg"))]
        if not any(file.stem == typename.split("/")[-1] for file in files):
            looked = ", ".join(map(str, folders)) or "no installed package, nor interfaces/ of the source tree"
            raise DefinitionError(
                f"no definition of message type {typename} ({looked}); build the interfaces: make setup"
            )
        types = {}
        for file in files:
            types |= get_types_from_msg(file.read_text(encoding="utf-8"), f"{package}/msg/{file.stem}")
        self._register(types)
        for _, fields in types.values():
            for _, node in fields:
                for name in _contained(node):
                    if name not in types:
                        self.require(name)

    def learn(self, typename: str, text: str):
        """Add a full ros2msg definition, as found in a log: the type's own text, then `MSG: pkg/Type` sections.

        Raises DefinitionError when it is not understood, or holds anything but fields and whole numbers.
        """
        _refuse_all_but_fields(typename, text)
        own, *others = text.split(SEPARATOR + "\n")
        try:
            types = get_types_from_msg(own, typename)
            for section in others:
                head, _, body = section.partition("\n")
                package, *_, name = head.removeprefix("MSG:").strip().split("/")
                types |= get_types_from_msg(body, f"{package}/msg/{name}")
        except (TypesysError, ValueError) as error:
            raise DefinitionError(
                f"definition of {typename} not understood: {' '.join(str(error).split())[:200]}"
            ) from None
        self._register(
            {name: value for name, value in types.items() if name not in self.store.fielddefs or name == typename}
        )

    def text(self, typename: str) -> str:
        """The full ros2msg definition, for a log's schema."""
        self.require(typename)
        if typename not in self._texts:
            self._texts[typename] = self.store.generate_msgdef(typename, ros_version=2)[0]
        return self._texts[typename]

    def has_header(self, typename: str) -> bool:
        """Whether the type begins with a std_msgs/Header, so that its stamp is the first eight bytes of the message."""
        self.require(typename)
        fields = self.store.fielddefs[typename][1]
        return bool(fields) and "std_msgs/msg/Header" in _contained(fields[0][1])

    def _register(self, types):
        try:
            self.store.register(types)
        except TypesysError as error:
            raise DefinitionError(f"message definition not understood: {error}") from None


def _refuse_all_but_fields(typename: str, text: str):
    if len(text) > MAX_TEXT:
        raise DefinitionError(f"definition of {typename} is {len(text)} characters long, more than the {MAX_TEXT} accepted")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].strip()
        if words and words != SEPARATOR and not LINE.fullmatch(words) and not TITLE.fullmatch(words):
            raise DefinitionError(f"definition of {typename}, line {number}: {words[:60]!r} is no field")


def message_folders(package: str) -> list[Path]:
    """Folders with the .msg files of a package: the source tree first, then share/ of ament prefixes and of Python."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [Path(sys.prefix)]
    candidates = [root / "interfaces" / package / "msg" for root in roots()]
    candidates += [prefix / "share" / package / "msg" for prefix in prefixes]
    return [folder for folder in candidates if folder.is_dir()]


def _contained(node) -> list[str]:
    """Type names of other messages inside a rosbags field description."""
    kind, content = node
    if kind.name == "NAME":
        return [content]
    if kind.name in ("ARRAY", "SEQUENCE"):
        return _contained(content[0])
    return []
