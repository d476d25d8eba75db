"""`lpds faults kill`: SIGKILL of recorder and learner at random moments; afterwards every decision is looked for by its id."""

import json
import tempfile
import time
from pathlib import Path

HELP = "kill recorder and learner at random moments, hundreds of times, and look for every decision by its id"


def add_arguments(parser):
    parser.add_argument("--count", type=int, default=100, help="kills of each kind, without ROS (default 100)")
    parser.add_argument("--processes", type=int, default=0, help="kills of the nodes of a running stack, in lockstep (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    parser.add_argument("--out", type=Path, help="folder for kill.json (default: none is written)")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments of the running stack")


def run(args) -> int:
    """Exit code 0 when nothing was lost, doubled or torn."""
    from lpds_ros.faults.kill import killed_checkpoints, killed_learners, killed_logs

    if args.count < 0 or args.processes < 0:
        raise ValueError("--count and --processes must not be negative")
    results, began = {}, time.monotonic()

    def show(name: str, result: dict):
        nonlocal began
        results[name] = result | {"seconds": round(time.monotonic() - began, 1)}
        began = time.monotonic()
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in results[name].items())}", flush=True)

    with tempfile.TemporaryDirectory(prefix="lpds_kill.") as temporary:
        folder = Path(temporary)
        if args.count:
            show("log writer", vars(killed_logs(folder, args.count, args.seed)))
            count, torn = killed_checkpoints(folder, args.count, args.seed)
            show("checkpoint writer", {"kills": count, "torn": torn})
            show("learner", vars(killed_learners(folder, args.count, args.seed)))
        if args.processes:
            from lpds_ros.faults.kill_nodes import killed_nodes
            from lpds_ros.stack import stop_on_signal

            progress = lambda text: print(text, flush=True)  # noqa: E731
            with stop_on_signal() as stop:
                words = tuple(args.arguments)
                show("nodes", killed_nodes(folder / "nodes", args.processes, args.seed, words, stop, progress))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "kill.json").write_text(json.dumps(results, indent=1))
    bad = sum(result.get(key, 0) for result in results.values() for key in ("lost", "doubled", "wrong", "torn"))
    print("nothing lost, doubled or torn" if not bad else f"{bad} disagreements")
    return int(bad > 0)
