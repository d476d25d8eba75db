"""`lpds faults run`: every fault of the list injected, what followed measured and judged, in a table."""

import shlex
import sys
import tempfile
from pathlib import Path

HELP = "inject F01 to F35 into the simulated stack and its parts; a table of what was detected, how fast, what was lost"


def add_arguments(parser):
    parser.add_argument("--only", default="", help="faults to run, for example F01,F21 (default: all)")
    parser.add_argument("--fast", action="store_true", help="only what needs no processes")
    parser.add_argument("--out", type=Path, help="folder for faults.md and faults.json (default: none is written)")
    parser.add_argument("--keep", type=Path, help="folder for the run folders (default: a temporary one)")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments, such as prior:=…")


def run(args) -> int:
    """Exit code 0 when every demand was met, 1 when one was not, 130 when it was interrupted (after the table)."""
    from lpds_ros.faults.campaign import chosen, markdown, run_cases, write
    from lpds_ros.stack import stop_on_signal

    cases = chosen(tuple(filter(None, args.only.split(","))), args.fast)
    rows = []
    with stop_on_signal() as stop, tempfile.TemporaryDirectory(prefix="lpds_faults.") as temporary:
        folder = args.keep or Path(temporary)
        for row in run_cases(cases, folder, stop, tuple(args.arguments), lambda text: print(text, flush=True)):
            rows.append(row)
        interrupted = stop.is_set()
    print(f"\n{markdown(rows)}")
    failed = sum(not row.finding.ok for row in rows)
    print(f"{len(rows)} cases, {failed} failed{', interrupted' if interrupted else ''}")
    if args.out:
        write(rows, args.out, shlex.join(["lpds", *sys.argv[1:]]))
        print(f"written to {args.out}/faults.md and faults.json")
    return 130 if interrupted else int(failed > 0)
