"""`lpds launch`: start the stack where there is no `ros2` command, from the very table the launch file uses."""

import sys
from pathlib import Path

from lpds_ros.arguments import LaunchError, parse, show_arguments
from lpds_ros.bringup import plan
from lpds_ros.config import nearest
from lpds_ros.stack import Stack, stop_on_signal

HELP = "start the stack: lpds launch franka_steer.launch.py robot:=sim (--show-args lists the arguments)"
LAUNCH_FILES = ("franka_steer.launch.py",)


def add_arguments(parser):
    parser.add_argument("file", help=f"launch file: {', '.join(LAUNCH_FILES)}, or its path")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments")
    parser.add_argument(
        "-s", "--show-args", action="store_true", help="list the arguments with types and defaults, start nothing"
    )


def run(args) -> int:
    name = Path(args.file).name
    if name not in LAUNCH_FILES:
        raise LaunchError(f"no launch file '{args.file}'{nearest(name, LAUNCH_FILES)}")
    arguments = parse(args.arguments)
    if args.show_args:
        print(show_arguments())
        return 0
    todo = plan(arguments)
    with stop_on_signal() as stop:
        with Stack(todo, echo=_echo) as stack:
            print(f"lpds: {', '.join(stack.running)} started; run folder {todo.run_dir}", flush=True)
            outcome = stack.wait(stop, report=lambda ended: print(f"lpds: {ended}", flush=True))
            print(f"lpds: ending: {outcome.reason}", flush=True)
    return report_end(outcome, stack)


def report_end(outcome, stack) -> int:
    """Say what went wrong, on stderr; return the exit code."""
    if outcome.code:
        sys.stderr.write(f"lpds: {outcome.reason}; its last lines:\n")
        sys.stderr.writelines(f"  {line}\n" for line in outcome.lines)
    for name in stack.killed:
        sys.stderr.write(f"lpds: {name} did not end when asked and was killed\n")
    return outcome.code


def _echo(name: str, line: str):
    print(f"[{name}] {line}", flush=True)
