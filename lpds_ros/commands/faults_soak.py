"""`lpds faults soak`: the stack runs for long; memory, file handles, threads and latencies of each node must not drift."""

import shlex
import sys
import tempfile
from pathlib import Path

HELP = "run the simulated stack for long and watch each node's memory, file handles, threads and latencies"


def add_arguments(parser):
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--out", type=Path, help="folder for soak.md, soak.json and soak.png (default: none is written)")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments, such as clock:=lockstep")


def run(args) -> int:
    """Exit code 0 when nothing drifts, 1 when something does."""
    from lpds_ros.faults.live import Live
    from lpds_ros.faults.soak import markdown, slopes, watch, write
    from lpds_ros.stack import stop_on_signal

    if not args.minutes > 0:
        raise ValueError("--minutes must be above 0")
    with stop_on_signal() as stop, tempfile.TemporaryDirectory(prefix="lpds_soak.") as folder:
        with Live(Path(folder), "clock:=realtime", *args.arguments) as live:
            series = watch(live, args.minutes, stop, lambda text: print(text, flush=True))
    minutes = max((rows[-1, 0] for found in series.values() for rows in found.values()), default=0.0) / 60.0
    found = slopes(series)
    print(markdown(found, minutes))
    if args.out:
        write(series, found, minutes, args.out, shlex.join(["lpds", *sys.argv[1:]]))
        print(f"written to {args.out}/soak.md, soak.json and soak.png")
    drifting = [f"{s.node} {s.what}" for s in found if not s.steady]
    print(f"drifting: {', '.join(drifting)}" if drifting else "nothing drifts")
    return int(bool(drifting))
