"""`lpds`: the right verb, nothing imported that was not asked for, and one line instead of a traceback."""

import importlib
import json
import subprocess
import sys
import types

import pytest
from fake_realsense import Sdk
from waiting import PATIENCE_S

from lpds_ros import cli
from lpds_ros.commands import _checks, doctor
from lpds_ros.config import ConfigError


@pytest.fixture
def verb(monkeypatch):
    """A verb "doctor" whose run is the function given."""

    def install(run):
        fake = types.SimpleNamespace(HELP="fake", add_arguments=lambda parser: None, run=run)
        monkeypatch.setattr(importlib, "import_module", lambda name: fake)

    return install


def raising(error):
    def run(args):
        raise error

    return run


def test_every_verb_follows_the_convention():
    for name, path in cli.verbs().items():
        text = path.read_text(encoding="utf-8")
        assert cli.help_of(path), f"{name}: no HELP"
        assert "def add_arguments(" in text and "def run(" in text, f"{name}: needs add_arguments(parser) and run(args)"


def test_overview_lists_every_verb_without_importing_them():
    heavy = "sys.exit(bool({'torch', 'rclpy'} & sys.modules.keys()))"
    code = f"import sys; from lpds_ros.cli import main; main(['--help']); {heavy}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in cli.verbs())


def test_two_word_verb_wins_and_keeps_its_arguments():
    assert cli.find_verb(["prior", "train", "--seed", "1"]) == ("prior train", ["--seed", "1"])


@pytest.mark.parametrize(
    ("words", "nearest"),
    [(["docter"], "doctor"), (["prior", "trian"], "prior train"), (["eval1", "--seed", "1"], "eval")],
)
def test_unknown_verb_names_the_nearest(words, nearest, capsys):
    assert cli.main(words) == 2
    assert f"did you mean '{nearest}'" in capsys.readouterr().err


def test_half_a_verb_names_the_whole_ones(capsys):
    assert cli.main(["prior"]) == 2
    assert "prior train" in capsys.readouterr().err


def test_our_error_is_one_line_and_code_2(verb, capsys):
    verb(raising(ConfigError("contract.yaml:3: unknown key 'hz'")))
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "lpds doctor: contract.yaml:3: unknown key 'hz'\n"


def test_a_library_error_keeps_its_traceback(verb):
    verb(lambda args: int("not a number"))
    with pytest.raises(ValueError, match="not a number"):
        cli.main(["doctor"])


def test_interrupt_is_130(verb):
    verb(raising(KeyboardInterrupt()))
    assert cli.main(["doctor"]) == 130


def test_missing_optional_module_names_the_line_that_brings_it(verb, capsys):
    verb(raising(ModuleNotFoundError("No module named 'torch'", name="torch")))
    assert cli.main(["doctor"]) == 2
    assert "pip install 'lpds_ros[train]'" in capsys.readouterr().err


def test_doctor_names_the_cameras_it_finds_and_what_is_wrong_with_them(monkeypatch):
    sdk = Sdk(serials=("A1", "B2"))
    monkeypatch.setattr(_checks, "librealsense", lambda: sdk)
    assert _checks.camera().ok and "RealSense D435 A1 on USB 3.2, RealSense D435 B2" in _checks.camera().found
    sdk.usb = "2.1"
    assert "A1, B2: on USB 2" in _checks.camera().fix
    sdk.serials = []
    assert not _checks.camera().ok and "USB 3" in _checks.camera().fix
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    assert "lpds_ros[realsense]" in _checks.camera().fix


def test_doctor_fails_only_for_what_the_simulation_needs(monkeypatch, capsys):
    wanted = _checks.Check("camera", False, False, "absent", "plug it in")
    needed = _checks.Check("MuJoCo", False, True, "absent", "pip install it")
    monkeypatch.setattr(doctor, "all_checks", lambda: [wanted])
    assert doctor.run(types.SimpleNamespace(json=False)) == 0
    assert "plug it in" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "all_checks", lambda: [wanted, needed])
    assert doctor.run(types.SimpleNamespace(json=True)) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["simulation_ready"] and report["checks"][1]["fix"] == "pip install it"


@pytest.mark.parametrize("check", [_checks.onnxruntime, _checks.torch, _checks.mujoco, _checks.ros])
def test_doctor_names_a_missing_library_with_its_fix(check, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    found = check()
    assert not found.ok and found.required and found.fix


def test_doctor_names_an_opencv_that_has_lost_its_solvers(monkeypatch):
    old = types.SimpleNamespace(__version__="4.12.0", calibrateHandEye=1, aruco=1)
    new = types.SimpleNamespace(__version__="5.0.0", aruco=1)
    monkeypatch.setattr(importlib, "import_module", lambda name: old)
    assert _checks.opencv().ok
    monkeypatch.setattr(importlib, "import_module", lambda name: new)
    found = _checks.opencv()
    assert not found.ok and "without calibrateHandEye" in found.found and "lpds_ros[vision]" in found.fix
