"""The launch file over recording stand-ins of launch and launch_ros, which PyPI has not: it starts what the plan says, no more.

What the genuine `ros2 launch` makes of it was tried by hand: docs/robot.md.
"""

import runpy
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

from lpds_ros.arguments import ARGUMENTS, LaunchError, typed
from lpds_ros.bringup import plan
from lpds_ros.contract import load_contract
from lpds_ros.resources import resource

FILE = Path(__file__).resolve().parent.parent / "launch" / "franka_steer.launch.py"
ACTIONS = "DeclareLaunchArgument GroupAction IncludeLaunchDescription OpaqueFunction SetEnvironmentVariable Shutdown".split()


def recorded(name: str):
    """A class whose instances keep what they were made of."""

    def __init__(self, *given, **named):  # noqa: N807
        self.given, self.named = given, named

    return type(name, (), {"__init__": __init__})


@pytest.fixture
def launched(monkeypatch):
    """launched(arguments) → what the launch file's function returns, by class name."""
    modules = {
        "launch": ["LaunchDescription"],
        "launch.actions": ACTIONS,
        "launch.launch_description_sources": ["AnyLaunchDescriptionSource"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
    }
    for module, names in modules.items():
        made = types.ModuleType(module)
        made.__dict__.update({name: recorded(name) for name in names})
        monkeypatch.setitem(sys.modules, module, made)
    description = runpy.run_path(str(FILE))["generate_launch_description"]()
    *declared, opaque = description.given[0]
    assert [a.given[0] for a in declared] == [a.name for a in ARGUMENTS]

    def evaluate(values):
        every = {a.name: a.default for a in ARGUMENTS} | values
        found = opaque.named["function"](SimpleNamespace(launch_configurations=every))
        return {kind: [a for a in found if type(a).__name__ == kind] for kind in ("GroupAction", "Node")}

    return evaluate


def test_every_process_of_the_plan_is_a_node_with_its_parameters(launched, tiny_bundle, tmp_path):
    values = {"prior": str(tiny_bundle.path), "robot": "mock", "namespace": "cell", "run_dir": str(tmp_path / "run")}
    nodes = launched(values)["Node"]
    processes = plan(typed(values)).processes
    assert [n.named["executable"] for n in nodes] == [p.executable for p in processes]
    for node, process in zip(nodes, processes):
        assert (node.named["package"], node.named["namespace"]) == ("lpds_ros", "/cell")
        assert node.named["parameters"] == [process.parameters]
        assert (node.named["respawn"], node.named["respawn_max_retries"]) == (process.restarts > 0, process.restarts)
        assert bool(node.named["on_exit"]) == process.essential
    learner = next(node for node in nodes if node.named["executable"] == "learner")
    assert learner.named["prefix"] == "nice -n 10"


def test_a_real_robots_driver_is_included_before_the_nodes_and_sees_its_own_arguments_alone(launched, tmp_path, monkeypatch):
    contract = tmp_path / "by_hand.yaml"
    contract.write_text(resource("config/contracts/lift.yaml").read_text().replace("source: task_state", "source: operator"))
    assert load_contract(contract).reward.source == "operator"
    values = {"robot": "real", "robot_ip": "172.16.0.2", "prior": "none", "teleop": "gamepad", "contract": str(contract)}
    values["run_dir"] = str(tmp_path / "run")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="franka_bringup is in none"):
        launched(values)
    (tmp_path / "share" / "ament_index" / "resource_index" / "packages").mkdir(parents=True)
    (tmp_path / "share" / "ament_index" / "resource_index" / "packages" / "franka_bringup").touch()
    (tmp_path / "share" / "franka_bringup" / "launch").mkdir(parents=True)
    (tmp_path / "share" / "franka_bringup" / "launch" / "franka.launch.py").touch()
    found = launched(values)
    (group,) = found["GroupAction"]
    assert group.named == {"scoped": True, "forwarding": False}
    (include,) = group.given[0]
    assert include.given[0].given[0] == str(tmp_path / "share" / "franka_bringup" / "launch" / "franka.launch.py")
    todo = plan(typed(values))
    assert dict(include.named["launch_arguments"]) == todo.beside[0].arguments
    spawners, ours = found["Node"][:2], found["Node"][2:]
    assert [s.named["arguments"] for s in spawners] == [list(part.words) for part in todo.beside[1:]]
    assert [n.named["executable"] for n in ours] == [p.executable for p in todo.processes]
