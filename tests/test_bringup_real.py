"""robot:=real and robot:=mock: the whole plan, what is included and with which arguments, and the launch file over it."""

import dataclasses
import os
import re
from pathlib import Path

import pytest
import yaml

from lpds_ros import included
from lpds_ros.arguments import LaunchError, typed
from lpds_ros.bringup import plan
from lpds_ros.cli import main
from lpds_ros.commands import _checks
from lpds_ros.config import to_yaml
from lpds_ros.contract import contract_to_dict, load_contract
from lpds_ros.included import Foreign, Include, launch_file, share_folder
from lpds_ros.resources import resource
from lpds_ros.run_folder import open_run
from lpds_ros.stack import Stack

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def real(tmp_path, monkeypatch) -> dict[str, str]:
    """Arguments of a real robot driven by hand, whose contract has an operator say what succeeds."""
    monkeypatch.chdir(tmp_path)
    contract = load_contract(resource("config/contracts/lift.yaml"))
    by_hand = dataclasses.replace(contract, reward=dataclasses.replace(contract.reward, source="operator"))
    (tmp_path / "by_hand.yaml").write_text(to_yaml(contract_to_dict(by_hand)))
    values = {"robot": "real", "robot_ip": "172.16.0.2", "prior": "none", "teleop": "gamepad", "run_dir": str(tmp_path / "run")}
    return values | {"contract": str(tmp_path / "by_hand.yaml")}


def test_the_plan_of_a_real_robot(real):
    todo = plan(typed(real | {"namespace": "cell"}))
    yaml_file = str(resource("config/controllers/crisp.yaml"))
    arguments = {"robot_ip": "172.16.0.2", "robot_type": "fr3", "load_gripper": "true", "namespace": "cell"}
    patience = ("--controller-manager-timeout", "30")
    assert todo.beside == (
        Include("franka_bringup", "launch/franka.launch.py", arguments | {"controllers_yaml": yaml_file}),
        Foreign("controller_manager", "spawner", ("joint_impedance_controller", "fr3_arm_controller", "--inactive", *patience)),
        Foreign("controller_manager", "spawner", ("cartesian_impedance_controller", *patience)),
    )
    assert [p.name for p in todo.processes] == ["cell", "perception", "recorder", "teleop", "steering"]
    assert yaml.safe_load((open_run(todo) / "parameters.yaml").read_text())["beside"][0]["arguments"]["robot_ip"] == "172.16.0.2"


def test_a_real_cell_may_have_markers_and_a_calibrated_camera(real, tmp_path):
    (tmp_path / "front.calib").write_text("")
    markers = str(resource("calibration/markers_cube.yaml"))
    seen = {"camera": "realsense", "markers": markers, "calibration": "front.calib", "markers_camera": "camera"}
    nodes = {p.name: p.parameters for p in plan(typed(real | seen)).processes}
    assert nodes["markers"]["markers"] == markers and nodes["markers"]["calibration"] == str(tmp_path / "front.calib")
    assert nodes["perception"]["calibration"] == str(tmp_path / "front.calib") and "camera" in nodes


def test_with_frankas_own_controller_nothing_of_crisp_is_loaded(real, tmp_path):
    wanted = real | {"controller": "jtc", "controllers_yaml": "mine.yaml"}
    with pytest.raises(LaunchError, match="controllers_yaml:=mine.yaml: no such file"):
        plan(typed(wanted))
    (tmp_path / "mine.yaml").touch()
    todo = plan(typed(wanted))
    assert todo.beside[0].arguments["controllers_yaml"] == str(tmp_path / "mine.yaml")
    assert [part.words[0] for part in todo.beside[1:]] == ["fr3_arm_controller"]


def test_the_command_mode_says_which_controller_drives(real):
    def steering(values):
        todo = plan(typed(real | values))
        return todo, next(p.parameters for p in todo.processes if p.name == "steering")

    todo, parameters = steering({"command_mode": "joint_impedance", "gripper_actions": "gripper_command"})
    loaded, active = (part.words for part in todo.beside[1:])
    assert loaded[:3] == ("cartesian_impedance_controller", "fr3_arm_controller", "--inactive")
    assert active[0] == "joint_impedance_controller"
    assert (parameters["command_mode"], parameters["gripper_actions"]) == ("joint_impedance", "gripper_command")
    assert steering({})[1]["command_mode"] == "cartesian_pose"
    assert steering({"controller": "jtc"})[1]["command_mode"] == "joint_trajectory"
    with pytest.raises(LaunchError, match="which controller:=jtc does not load: joint_trajectory, another controller, or"):
        steering({"controller": "jtc", "command_mode": "cartesian_pose"})


def test_joint_positions_are_refused_on_a_real_arm_unless_allowed(real, tmp_path):
    (tmp_path / "mine.yaml").touch()
    wanted = real | {"command_mode": "joint_group_position", "controllers_yaml": "mine.yaml"}
    with pytest.raises(LaunchError, match="discontinuity reflexes"):
        plan(typed(wanted))
    todo = plan(typed(wanted | {"allow_group_position": "true"}))
    assert todo.processes[-1].parameters["allow_group_position"] is True
    assert todo.beside[-1].words[0] == "forward_position_controller"


def test_a_driver_that_runs_already_is_not_started_again(real):
    values = {name: value for name, value in real.items() if name != "robot_ip"}
    assert plan(typed(values | {"franka_bringup": "false"})).beside == ()


def test_a_person_puts_the_scene_back_where_there_is_a_cell(real):
    by_us = [p.name for p in plan(typed(real | {"cell": "false"})).processes]
    assert "cell" not in by_us
    with pytest.raises(LaunchError, match="puts the scene back in real time"):
        plan(typed({"cell": "true", "clock": "lockstep"}))
    tried = plan(typed({"prior": "none", "teleop": "gamepad", "cell": "true"})).processes
    assert [p.name for p in tried[:2]] == ["sim", "cell"] and tried[0].parameters["reset"] is False


def test_the_mock_takes_the_simulations_place(tiny_bundle, tmp_path):
    values = {"prior": str(tiny_bundle.path), "run_dir": str(tmp_path / "run")}
    simulated, mocked = plan(typed(values)), plan(typed(values | {"robot": "mock"}))
    assert [p.name for p in mocked.processes] == ["mock", *(p.name for p in simulated.processes[1:])]
    assert [p.parameters for p in mocked.processes] == [p.parameters for p in simulated.processes]
    assert mocked.beside == simulated.beside == ()


@pytest.mark.parametrize("name", included.CONTROLLERS)
def test_every_controller_that_is_spawned_has_a_type_and_the_arms_joints(name):
    (nodes,) = yaml.safe_load(resource(f"config/controllers/{name}.yaml").read_text()).values()
    manager = nodes.pop("controller_manager")["ros__parameters"]
    assert manager["update_rate"] == 1000
    assert nodes["franka_robot_state_broadcaster"]["ros__parameters"] == {"convenience_publish_rate": 100}
    for controller in included.CONTROLLERS[name]:
        assert manager[controller]["type"].count("/") == 1
        assert nodes[controller]["ros__parameters"]["joints"] == [f"fr3_joint{i}" for i in range(1, 8)]


def test_the_law_of_the_simulation_is_the_one_the_robot_gets():
    from lpds_ros.sim.impedance import ImpedanceGains

    (nodes,) = yaml.safe_load(resource("config/controllers/crisp.yaml").read_text()).values()
    law, gains = nodes["cartesian_impedance_controller"]["ros__parameters"], ImpedanceGains()
    for axis in "xyz":
        assert law["task"][f"k_pos_{axis}"] == gains.translation_stiffness
        assert law["task"][f"d_pos_{axis}"] == gains.translation_damping
        assert law["task"][f"k_rot_{axis}"] == gains.rotation_stiffness
        assert law["task"][f"d_rot_{axis}"] == gains.rotation_damping
        assert law["task"]["error_clip"][axis] == gains.translation_error_clip_m
        assert law["task"]["error_clip"][f"r{axis}"] == gains.rotation_error_clip_rad
    assert law["filter"]["target_pose"] == gains.filter_per_ms
    assert law["max_delta_tau"] == gains.torque_rate_nm_per_ms
    assert (law["nullspace"]["stiffness"], law["nullspace"]["max_tau"]) == (gains.null_stiffness, gains.null_torque_max_nm)


def test_a_package_is_found_in_the_sourced_workspaces_or_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere{os.pathsep}{tmp_path}")
    include = Include("franka_bringup", "launch/franka.launch.py")
    with pytest.raises(LaunchError, match=re.escape(f"/nowhere, {tmp_path}): build https://github.com/frankarobotics")):
        launch_file(include)
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "franka_bringup").touch()
    assert share_folder("franka_bringup") == tmp_path / "share" / "franka_bringup"
    found, lacking = _checks.robot_driver("franka_bringup", "a robot"), _checks.robot_driver("crisp_controllers", "a robot")
    assert found.ok and found.found == str(tmp_path / "share" / "franka_bringup")
    assert not (lacking.ok or lacking.required) and "controller:=jtc" in lacking.fix
    with pytest.raises(LaunchError, match="no such launch file"):
        launch_file(include)


def words(values):
    return [f"{name}:={value}" for name, value in values.items()]


def test_lpds_launch_shows_the_plan_and_says_who_can_start_it(real, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["launch", "franka_steer.launch.py", "--print", *words(real)]) == 0
    told = capsys.readouterr().out
    assert "include franka_bringup/launch/franka.launch.py\n  robot_ip:=172.16.0.2\n" in told
    assert "run controller_manager spawner cartesian_impedance_controller" in told and "run lpds_ros steering\n" in told
    assert main(["launch", "franka_steer.launch.py", *words(real)]) == 2
    told = capsys.readouterr().err
    assert "here is no `ros2`" in told and "franka_bringup:=false" in told and not (tmp_path / "run").exists()
    assert main(["launch", "franka_steer.launch.py", *words(real), "franka_bringup:=false", "camera:=realsense_ros"]) == 2
    told = capsys.readouterr().err
    assert "include realsense2_camera/launch/rs_launch.py" in told and "camera:=realsense," in told and "franka_ros2" not in told


def test_what_only_starts_processes_starts_no_half_of_a_plan(real):
    with pytest.raises(LaunchError, match="franka_bringup/launch/franka.launch.py, which only `ros2 launch`"):
        Stack(plan(typed(real)))


def test_where_there_is_a_ros2_lpds_launch_becomes_it(real, monkeypatch, tmp_path):
    (tmp_path / "ros2").write_text("#!/bin/sh\n")
    (tmp_path / "ros2").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    became = []
    monkeypatch.setattr(os, "execv", lambda path, line: became.extend([path, *line]))
    main(["launch", "franka_steer.launch.py", *words(real)])
    ros2 = str(tmp_path / "ros2")
    assert became == [ros2, ros2, "launch", str(ROOT / "launch" / "franka_steer.launch.py"), *words(real)]
