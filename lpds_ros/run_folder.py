"""The run folder: everything one run leaves behind, and exactly what it was started with. No ROS."""

import dataclasses
import importlib.metadata
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import yaml

from lpds_ros.bringup import CONTRACT_FILE, STARTED_MARK, Plan, Process
from lpds_ros.config import to_yaml
from lpds_ros.contract import contract_to_dict

PARAMETERS_FILE, NODES, LOGS, CURVE = "parameters.yaml", "nodes", "logs", "curve.png"
PACKAGES = ("lpds_ros", "rclpy", "numpy", "torch", "onnxruntime", "mujoco")


class _Quoted(yaml.SafeDumper):
    """Strings always quoted: rcl's parser would read a bare 1e5 or a hexadecimal digest of digits as a number."""


_Quoted.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def open_run(plan: Plan) -> Path:
    """Make the folder (or go on with it), point `latest` at it, write contract and parameters."""
    run = plan.run_dir
    for part in (LOGS, NODES):
        (run / part).mkdir(parents=True, exist_ok=True)
    (run / STARTED_MARK).unlink(missing_ok=True)  # a launch is a person's decision to move; a respawn is nobody's
    point_latest(run)
    (run / CONTRACT_FILE).write_text(to_yaml(contract_to_dict(plan.contract)))
    for process in plan.processes:
        node_file(run, process).write_text(yaml.dump({"/**": {"ros__parameters": process.parameters}}, Dumper=_Quoted))
    (run / PARAMETERS_FILE).write_text(to_yaml(provenance(plan)))
    return run


def node_file(run: Path, process: Process) -> Path:
    """The node's parameters as ROS reads them (`--params-file`)."""
    return run / NODES / f"{process.name}.yaml"


def point_latest(run: Path):
    """`latest` beside the run folder becomes a relative link to it, in one step."""
    fresh = run.with_name(f".latest-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(run.name)
    latest = run.with_name("latest")
    if latest.exists() and not latest.is_symlink():
        fresh.unlink()
        return
    fresh.replace(latest)


def provenance(plan: Plan) -> dict:
    """What the run was started with: arguments, nodes' parameters, digests, versions, git commit."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "arguments": dataclasses.asdict(plan.arguments),
        "contract_digest": plan.contract.digest,
        "prior": None if plan.bundle is None else {"name": plan.bundle.name, "digest": plan.bundle.digest},
        "git_commit": git_commit(),
        "versions": {"python": sys.version.split()[0]} | versions(),
        "beside": [dataclasses.asdict(b) for b in plan.beside],
        "processes": {p.name: {"executable": p.executable, "parameters": dict(p.parameters)} for p in plan.processes},
    }


def git_commit() -> str | None:
    """Commit of the source tree this code runs from, with '+' where the tree was changed; None without one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        command = ("git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*")
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def versions() -> dict[str, str]:
    """Versions of what decides the outcome, as far as installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
