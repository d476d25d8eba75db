"""Launch arguments and node table: one for both launchers, and every mistake answered with what to write instead."""

import importlib
import re
import shutil
from pathlib import Path

import pytest
import yaml

from lpds_ros import bringup
from lpds_ros.arguments import ARGUMENTS, LaunchError, ours, parse, show_arguments, typed
from lpds_ros.bringup import plan, processes
from lpds_ros.config import ConfigError
from lpds_ros.contract import load_contract
from lpds_ros.nodes.base import LpdsNode
from lpds_ros.parameters import build_parameters
from lpds_ros.resources import resource
from lpds_ros.run_folder import node_file, open_run
from lpds_ros.stack import command


@pytest.fixture
def there(tmp_path, tiny_bundle, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {"prior": str(tiny_bundle.path), "run_dir": str(tmp_path / "runs" / "r")}


def words(**values):
    return [f"{name}:={value}" for name, value in values.items()]


@pytest.mark.parametrize(
    "word, told",
    [
        ("robto:=sim", "unknown launch argument 'robto', did you mean 'robot'"),
        ("robot=sim", "written name:=value"),
        ("robot:=panda", "one of sim, real, mock"),
        ("seed:=first", "seed: expected int"),
        ("seed:=-1", "outside 0"),
        ("learner:=yes", "expected true or false"),
        ("target_hz:=5", "outside 20"),
    ],
)
def test_a_wrong_argument_says_what_is_accepted(word, told):
    with pytest.raises(LaunchError, match=re.escape(told)):
        parse([word])


@pytest.mark.parametrize(
    "values, told",
    [
        ({"robot": "real", "clock": "lockstep"}, "does not wait for its commands"),
        ({"robot": "real"}, "give robot_ip:="),
        ({"robot": "real", "robot_ip": "172.16.0.2", "faults": "true"}, "faults on purpose"),
        ({"robot": "real", "robot_ip": "172.16.0.2", "teleop": "scripted"}, "give a device"),
        ({"robot": "real", "robot_ip": "172.16.0.2"}, "somebody must say which episodes succeed"),
        ({"robot": "real", "robot_ip": "172.16.0.2", "learner": "false"}, "reward: {source: operator}"),
        ({"prior": "none"}, "nothing would drive the robot"),
        ({"actor": "a.safetensors"}, "learner:=false"),
        ({"prefix": "true"}, "with fixed weights add learner:=false"),
        ({"clock": "lockstep", "teleop": "keyboard"}, "clock:=realtime"),
        ({"namespace": "a-b"}, "letters, digits"),
        ({"markers_camera": "a/b"}, "the name of a camera"),
        ({"prior": "nowhere"}, "lpds prior train"),
        ({"camera": "realsense", "clock": "lockstep"}, "clock:=realtime"),
        ({"camera": "realsense", "camera_serials": "0123"}, "expected name=serial"),
        ({"camera": "realsense", "camera_serials": "a=1,b=1"}, "of its own"),
        ({"camera": "realsense", "camera_profile": "640x480"}, "640x480x30"),
        ({"camera_recording": "a.db3"}, "camera:=realsense"),
        ({"camera": "realsense", "camera_recording": "nowhere.db3"}, "no such file"),
        ({"camera": "sim", "camera_serials": "camera=0123"}, "camera:=realsense"),
        ({"prior": "none", "teleop": "scripted", "task": "fold"}, "contract:="),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(values, told):
    with pytest.raises(LaunchError, match=re.escape(told)):
        plan(typed(values))


def test_arguments_of_a_launch_file_that_includes_ours_are_its_own():
    assert ours({"robot": "mock", "use_rviz": "true"}) == {"robot": "mock"}
    with pytest.raises(LaunchError, match="did you mean 'robot'"):
        typed(ours({"robto": "real"}))


def test_without_arguments_it_is_the_simulation():
    assert parse([]).robot == "sim"
    assert {a.name: a.default for a in ARGUMENTS}["robot"] == "sim"


def test_show_args_lists_every_argument_with_type_and_default():
    text = show_arguments()
    for argument in ARGUMENTS:
        assert re.search(rf"^  {argument.name} ", text, re.M)
    assert "one of sim, real, mock; default 'sim'" in text


def test_the_listeners_start_first_and_steering_last(there):
    assert [p.name for p in processes(there)] == ["sim", "perception", "recorder", "learner", "steering"]
    assert [p.name for p in processes(there | {"learner": "false", "recorder": "false"})] == [
        "sim",
        "perception",
        "steering",
    ]
    operator = {"prior": "none", "teleop": "scripted", "clock": "lockstep", "run_dir": there["run_dir"]}
    assert [p.name for p in processes(operator)] == ["sim", "perception", "recorder", "teleop", "steering"]
    streams = next(p for p in processes(operator | {"record_streams": "true"}) if p.name == "streams")
    assert not streams.essential and streams.parameters["path"].endswith("/streams/streams.mcap")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"robot": "mock", "command_mode": "joint_trajectory", "cell": "true", "record_streams": "true"},
        {"markers": str(resource("calibration/markers_cube.yaml")), "teleop": "scripted"},
        {"camera": "realsense"},
    ],
)
def test_every_node_knows_the_parameters_that_it_is_given(there, values):
    for process in processes(there | values):
        found = vars(importlib.import_module(f"lpds_ros.nodes.{process.executable}")).values()
        kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, LpdsNode)]
        (node,) = (kind for kind in kinds if kind.NAME == process.executable)
        build_parameters(node.Parameters, process.parameters)


def test_without_images_in_the_contract_no_camera_starts_by_itself(there):
    assert {p.name: p.parameters for p in processes(there)}["sim"]["camera"] == "none"
    assert {p.name: p.parameters for p in processes(there | {"camera": "sim"})}["sim"]["camera"] == "sim"


def test_a_prior_that_sees_gets_the_simulations_cameras_or_as_many_as_it_listens_to(tmp_path):
    seeing = {"prior": "lift_images", "run_dir": str(tmp_path / "run")}
    assert {p.name: p.parameters for p in processes(seeing)}["sim"]["camera"] == "sim"
    assert {p.name: p.parameters for p in processes(seeing | {"camera": "none"})}["sim"]["camera"] == "none"
    with pytest.raises(LaunchError, match="stream 'wrist' .* listens to camera/wrist/color/image_raw.*cameras are camera:"):
        plan(typed(seeing | {"camera": "realsense"}))
    both = seeing | {"camera": "realsense", "camera_serials": "camera=1,wrist=2"}
    nodes = {p.name: p.parameters for p in processes(both)}
    assert nodes["sim"]["camera"] == "none" and {"camera", "camera_wrist"} < nodes.keys()


def test_every_realsense_has_a_process_and_a_node_name_of_its_own(there, tmp_path):
    one = {p.name: p for p in processes(there | {"camera": "realsense"})}["camera"]
    assert one.parameters == {"camera_name": "camera", "serial_no": "", "profile": "640x480x30"}
    serials = {"camera": "realsense", "camera_serials": "camera=012345678901, wrist=012345678902", "camera_profile": "424x240x60"}
    todo = plan(typed(there | serials))
    cameras = {p.name: p for p in todo.processes if p.executable == "camera"}
    assert [p.parameters["serial_no"] for p in cameras.values()] == ["012345678901", "012345678902"]
    assert cameras["camera_wrist"].parameters["profile"] == "424x240x60"
    assert "__node:=camera_wrist" in command(todo, cameras["camera_wrist"]).argv
    recording = tmp_path / "seen.db3"
    recording.touch()
    played = {p.name: p.parameters for p in processes(there | serials | {"camera_recording": str(recording)})}["camera_wrist"]
    assert (played["rosbag_filename"], played["rosbag_loop"]) == (str(recording), True)
    assert not any(p.essential for p in cameras.values())  # a camera that dies in mid-run is a HOLD, and comes back


def test_realsense2_camera_is_included_for_each_camera_below_the_stacks_namespace(there):
    serials = {"camera": "realsense_ros", "camera_serials": "wrist=012345678902", "namespace": "cell"}
    (include,) = plan(typed(there | serials)).beside
    assert (include.package, include.file) == ("realsense2_camera", "launch/rs_launch.py")
    wanted = {"camera_name": "wrist", "camera_namespace": "/cell/camera", "serial_no": "_012345678902"}
    assert wanted | {"align_depth.enable": "true", "rgb_camera.color_profile": "640x480x30"} == {
        k: include.arguments[k] for k in (*wanted, "align_depth.enable", "rgb_camera.color_profile")
    }
    any_camera = plan(typed(there | {"camera": "realsense_ros"})).beside[0].arguments
    assert any_camera["camera_namespace"] == "camera" and "serial_no" not in any_camera


def test_training_and_evaluation_seeds_are_disjoint(there):
    steering = {p.name: p for p in processes(there | {"seed": "2", "first_episode": "7"})}["steering"]
    assert steering.parameters["seed_base"] == 3_000_007
    assert bringup.seed_base(0) > 100_000


def test_steering_and_simulation_agree_on_the_targets_of_a_period(there):
    nodes = {p.name: p.parameters for p in processes(there | {"target_hz": "60"})}
    assert nodes["steering"]["target_hz"] == 60.0
    assert nodes["sim"]["targets_per_period"] == 3  # at the contract's 20 Hz


def test_markers_and_calibrations_reach_the_nodes_that_need_them(there, tmp_path):
    calib, markers = tmp_path / "wrist.calib", str(bringup.resource("calibration/markers_cube.yaml"))
    calib.write_text("")
    nodes = {p.name: p for p in processes(there | {"markers": markers, "calibration": f"{calib},{calib}"})}
    expected = {"markers": markers, "camera": "camera/camera/color", "calibration": f"{calib},{calib}"}
    assert nodes["markers"].parameters == expected
    assert not nodes["markers"].essential and nodes["markers"].restarts, "without it the object's pose falls silent: a HOLD"
    assert nodes["perception"].parameters["calibration"] == f"{calib},{calib}"
    assert (nodes["sim"].parameters["markers"], nodes["sim"].parameters["camera"]) == (markers, "sim")
    assert "markers" not in {p.name for p in processes(there)} and "calibration" not in processes(there)[1].parameters
    with pytest.raises(LaunchError, match="nowhere.yaml: no such file"):
        processes(there | {"markers": "nowhere.yaml"})
    with pytest.raises(LaunchError, match="seen by its camera"):
        processes(there | {"markers": markers, "camera": "none"})
    with pytest.raises(LaunchError, match="no camera"):
        processes(there | {"markers": markers, "robot": "mock"})


def test_the_contract_is_the_priors_own_and_another_one_is_refused(there, tmp_path, tiny_bundle):
    assert plan(typed(there)).contract.digest == tiny_bundle.contract.digest
    tree = yaml.safe_load(Path(bringup.resource("config/contracts/lift.yaml")).read_text())
    tree["max_ticks"] = 77
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=tiny_bundle.contract.digest[:12]):
        plan(typed(there | {"contract": str(other)}))


def test_a_bundle_with_one_flipped_byte_starts_nothing(tmp_path, tiny_bundle, capsys):
    from lpds_ros.cli import main

    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.path, copy)
    content = bytearray((copy / "decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "decoder.onnx").write_bytes(content)
    assert main(["launch", "franka_steer.launch.py", f"prior:={copy}", f"run_dir:={tmp_path / 'run'}"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "decoder.onnx" in told
    assert not (tmp_path / "run").exists()


def test_the_run_folder_holds_exact_parameters_and_latest_points_to_it(there, tmp_path):
    todo = plan(typed(there | {"seed": "4"}))
    run = open_run(todo)
    assert (tmp_path / "runs" / "latest").resolve() == run
    stored = yaml.safe_load((run / "parameters.yaml").read_text())
    assert stored["arguments"]["seed"] == 4
    assert stored["prior"]["digest"] == todo.bundle.digest and stored["contract_digest"] == todo.contract.digest
    assert load_contract(run / "contract.yaml").digest == todo.contract.digest
    for process in todo.processes:
        parameters = yaml.safe_load(node_file(run, process).read_text())["/**"]["ros__parameters"]
        assert parameters == process.parameters
        assert {k: type(v) for k, v in parameters.items()} == {k: type(v) for k, v in process.parameters.items()}


def test_two_runs_of_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = bringup.default_run_dir("lift")
    first.mkdir(parents=True)
    assert bringup.default_run_dir("lift") != first


def test_the_command_line_names_module_namespace_and_parameter_file(there):
    todo = plan(typed(there | {"namespace": "cell/left"}))
    steering = command(todo, todo.processes[-1])
    assert steering.argv[1:3] == ("-m", "lpds_ros.nodes.steering")
    assert "__ns:=/cell/left" in steering.argv and str(node_file(todo.run_dir, todo.processes[-1])) in steering.argv


def test_lpds_launch_shows_arguments_and_refuses_unknown_ones(capsys):
    from lpds_ros.cli import main

    assert main(["launch", "franka_steer.launch.py", "--show-args"]) == 0
    assert "robot" in capsys.readouterr().out
    assert main(["launch", "launch/franka_steer.launch.py", "robto:=sim"]) == 2
    assert "did you mean 'robot'" in capsys.readouterr().err
    assert main(["launch", "franka_ster.launch.py"]) == 2
    assert "did you mean 'franka_steer.launch.py'" in capsys.readouterr().err


def test_the_launch_file_is_one_more_reader_of_the_table():
    source = (Path(bringup.__file__).parent.parent / "launch" / "franka_steer.launch.py").read_text()
    assert "ARGUMENTS" in source and "bringup.plan" in source
    assert not re.search(r"\"(sim|perception|steering|learner|recorder|teleop)\"", source)
