"""What is installed where: data files, environment defaults, and pins that satisfy the ranges."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S

from lpds_ros import environment, resources

ROOT = Path(__file__).resolve().parent.parent


def test_source_tree_comes_first():
    assert resources.resource("config/fastdds.xml") == ROOT / "config" / "fastdds.xml"


def test_installed_share_is_found_without_a_source_tree(tmp_path, monkeypatch):
    module = tmp_path / "lib" / "python3.11" / "site-packages" / "lpds_ros" / "resources.py"
    data = tmp_path / "share" / "lpds_ros" / "models" / "lift"
    data.mkdir(parents=True)
    monkeypatch.setattr(resources, "__file__", str(module))
    assert resources.resource("models/lift") == data


def test_ament_prefix_is_searched(tmp_path, monkeypatch):
    (tmp_path / "share" / "lpds_ros" / "only_there").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere{os.pathsep}{tmp_path}")
    assert resources.resource("only_there") == tmp_path / "share" / "lpds_ros" / "only_there"


def test_missing_resource_lists_where_it_was_looked_for():
    with pytest.raises(ValueError, match=re.escape(str(ROOT / "models" / "nosuch"))):
        resources.resource("models/nosuch")


def test_own_settings_win(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE", raising=False)
    child = environment.ros_environment()
    assert child["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"
    assert child["FASTRTPS_DEFAULT_PROFILES_FILE"] == "/mine.xml" and "FASTDDS_DEFAULT_PROFILES_FILE" not in child


def test_defaults_for_a_child(monkeypatch, tmp_path):
    for name in (*environment.PROFILE_VARIABLES, "ROS_PYTHON_CHECK_FIELDS", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name, raising=False)
    child = environment.ros_environment(tmp_path)
    assert child["ROS_PYTHON_CHECK_FIELDS"] == "1" and child["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    (profile,) = [child[name] for name in environment.PROFILE_VARIABLES if name in child]
    assert Path(profile).is_file()
    assert child["ROS_LOG_DIR"].startswith(str(tmp_path))


def test_another_environments_bootstrap_is_not_inherited(monkeypatch):
    monkeypatch.setenv(environment.BOOTSTRAP_MARK, "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/other/venv/lib")
    assert environment.BOOTSTRAP_MARK not in environment.ros_environment()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(Path(sys.prefix) / "lib"))
    assert environment.BOOTSTRAP_MARK in environment.ros_environment()


def setup_value(code: str) -> str:
    """What `code` prints in setup.py's namespace, `setup` itself doing nothing."""
    text = "import runpy, setuptools; setuptools.setup = lambda **k: None; s = runpy.run_path('setup.py')\n" + code
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_requirement_is_pinned_within_its_range():
    pytest.importorskip("packaging")
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    wanted = setup_value("for group in s['BASE'], *s['EXTRAS'].values(): print(*group, sep='\\n')")
    for text in wanted.splitlines():
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"constraints.txt has no pin for {requirement.name}"
        assert pins[name] in requirement.specifier, f"{requirement} does not allow the pin {pins[name]}"


def test_share_mirrors_the_data_folders():
    code = "for where, files in s['data_files'](): print(*(f'{where}/{setuptools.os.path.basename(f)}' for f in files))"
    listed = set(setup_value(code).split())
    assert "share/ament_index/resource_index/packages/lpds_ros" in listed
    assert {"share/lpds_ros/package.xml", "share/lpds_ros/config/contracts/lift.yaml"} <= listed


def test_every_executable_exists():
    for node in setup_value("print(*s['NODES'])").split():
        path = ROOT / "lpds_ros" / "nodes" / f"{node}.py"
        found = path.is_file() and "def main(" in path.read_text(encoding="utf-8")
        assert found, f"setup.py installs the executable {node}: {path} needs a main()"
