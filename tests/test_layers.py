"""The import direction of the architecture, read from the sources: a call upward fails here before it grows roots."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "lpds_ros"

# From the bottom up. A unit imports everything below; its neighbours in one layer only where SHARED says so.
LAYERS = (
    ("config", "contract", "durable", "environment", "geometry", "identity", "images", "lease", "parameters", "problem")
    + ("processes",)
    + ("realtime", "records", "resources", "weights"),
    ("data",),
    ("sim",),
    ("perception",),
    ("demos",),
    ("robot",),
    ("teleop",),
    ("prior",),
    ("learning",),
    ("steering",),
    ("conformance", "rollout"),
    ("collect",),
    ("bench",),
    ("arguments", "bringup", "camera_plan", "included", "refusals", "run_folder", "stack", "summary", "plots", "view"),
    ("nodes",),
    ("faults",),
    ("commands", "cli"),
)
RANK = {unit: rank for rank, units in enumerate(LAYERS) for unit in units}
SHARED = (RANK["config"], RANK["bringup"], RANK["cli"])
ROS = ("rclpy", "launch", "launch_ros", "lpds_msgs", "franka_msgs", "control_msgs", "tf2_msgs", "geometry_msgs", "sensor_msgs")
ROS += ("controller_manager_msgs", "lifecycle_msgs")
NO_TORCH = ("steering", "perception", "robot", "sim", "data", "teleop", "rollout", "collect")
NO_TORCH += ("prior.bundle", "prior.encoders", "prior.session")
FOLDERS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py")))


def module_name(path: Path) -> str:
    """lpds_ros/steering/core.py -> steering.core; a folder's __init__ is the folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"}


@functools.cache
def imports(path: Path) -> set[str]:
    """Every absolute module name a file imports, also inside functions; `from a import b` counts as a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its direction"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@functools.cache
def own(path: Path) -> set[str]:
    """The modules of lpds_ros a file imports, without the prefix."""
    inside = {name.removeprefix("lpds_ros.") for name in imports(path) if name.startswith("lpds_ros.")}
    return {name for name in inside if name in SOURCES}


def reached_from(unit: str) -> dict[str, str]:
    """Every module of lpds_ros that importing `unit` (a module, or all of a folder) loads, each with who imports it."""
    waiting = [(name, unit) for name in SOURCES if name == unit or name.startswith(f"{unit}.")]
    seen = {}
    while waiting:
        name, importer = waiting.pop()
        if name not in seen:
            seen[name] = importer
            waiting.extend((other, name) for other in own(SOURCES[name]))
    return seen


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def test_every_unit_has_a_layer():
    unknown = {name.partition(".")[0] for name in SOURCES} - RANK.keys()
    assert not unknown, f"{unknown}: say in LAYERS (tests/test_layers.py) where it belongs"


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_downward(name):
    unit = name.partition(".")[0]
    for other in own(SOURCES[name]):
        target = other.partition(".")[0]
        allowed = target == unit or RANK[target] < RANK[unit] or RANK[target] == RANK[unit] and RANK[unit] in SHARED
        assert allowed, f"{name} imports {other}, which is not below it"


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith("nodes")])
def test_ros_only_in_nodes(name):
    found = roots(SOURCES[name]) & set(ROS)
    assert not found, f"{name} imports {found}; only nodes know ROS"


@pytest.mark.parametrize("unit", NO_TORCH)
def test_control_path_never_loads_torch(unit):
    reached = reached_from(unit)
    guilty = {name: importer for name, importer in reached.items() if "torch" in roots(SOURCES[name])}
    assert not guilty, f"{unit} loads torch through {guilty} (module: its importer)"


def test_steering_never_loads_learning():
    guilty = [name for name in reached_from("steering") if name.startswith("learning")]
    assert not guilty, f"steering reaches {guilty}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_says_what_it_is_for(folder):
    init = ROOT / folder / "__init__.py"
    assert init.is_file(), f"{init} is missing"
    tree = ast.parse(init.read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    assert "ay import" in text, f"{init}: the docstring must say what the folder is for and what it may import"
    assert len(tree.body) == 1, f"{init}: a docstring and nothing else, so that importing one module loads no other"
