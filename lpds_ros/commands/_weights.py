"""What the verbs of `lpds weights` share: the run folder, its versions, the call of the steering node."""

from pathlib import Path

import yaml

from lpds_ros.learning.store import BEST, QUARANTINE, ActorStore
from lpds_ros.run_folder import PARAMETERS_FILE
from lpds_ros.weights import WeightsError


def add_run(parser):
    parser.add_argument("run", nargs="?", type=Path, default=Path("runs/latest"), help="run folder (default: runs/latest)")


def add_robot(parser, version: str = ""):
    """Whose robot is asked; version: what --version is, where it can be given."""
    add_run(parser)
    if version:
        parser.add_argument("--version", type=int, help=f"one of `lpds weights list`{version}")
    parser.add_argument("--namespace", help="of the stack (default: what the run folder says)")


def actor_folder(run: Path) -> Path:
    """Where the versions of a run lie. Raises WeightsError."""
    if not (run / "actor").is_dir():
        raise WeightsError(f"{run}: no run folder with versions (an actor/ in it); give one, for example runs/latest")
    return run / "actor"


def blob_of(run: Path, version: int | None) -> bytes:
    """The weights of a version, or of the best one; none of the prior, version 0. Raises WeightsError naming where it was
    looked for.
    """
    if version == 0:
        return b""
    folder = actor_folder(run)
    name = BEST if version is None else ActorStore.name(version)
    for path in (folder / name, folder / QUARANTINE / name):
        if path.is_file():
            return path.read_bytes()
    raise WeightsError(f"{folder / name}: no such file; `lpds weights list {run}` shows what there is")


def call(action: str, args, blob: bytes = b"") -> int:
    """Ask the steering node of the run's stack, and print what it said."""
    from lpds_ros.nodes.manage import manage_weights

    namespace = namespace_of(args.run) if args.namespace is None else args.namespace
    print(manage_weights(action, blob, namespace=namespace))
    return 0


def namespace_of(run: Path) -> str:
    """The namespace that the run was started in."""
    file = run / PARAMETERS_FILE
    return yaml.safe_load(file.read_text())["arguments"].get("namespace", "") if file.exists() else ""
