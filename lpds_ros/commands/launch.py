"""`lpds launch`: start the stack where there is no `ros2` command, from the very table the launch file uses.

What is not ours (franka_bringup, a controller's spawner) only `ros2 launch` can start: where there is one, it takes over.
"""

import os
import shutil
import sys
from pathlib import Path

from lpds_ros.arguments import LaunchError, parse, show_arguments
from lpds_ros.bringup import Plan, plan
from lpds_ros.config import nearest
from lpds_ros.included import Include, unstartable
from lpds_ros.resources import resource
from lpds_ros.stack import Stack, stop_on_signal

HELP = "start the stack: lpds launch franka_steer.launch.py robot:=sim (--show-args lists the arguments)"
LAUNCH_FILES = ("franka_steer.launch.py",)


def add_arguments(parser):
    parser.add_argument("file", help=f"launch file: {', '.join(LAUNCH_FILES)}, or its path")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments")
    parser.add_argument(
        "-s", "--show-args", action="store_true", help="list the arguments with types and defaults, start nothing"
    )
    parser.add_argument(
        "-p", "--print", action="store_true", help="show what would be started with which parameters, start nothing"
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
    if args.print:
        print(plan_text(todo))
        return 0
    if todo.beside:
        return _hand_over(todo, name, args.arguments)
    with stop_on_signal() as stop:
        with Stack(todo, echo=_echo) as stack:
            print(f"lpds: {', '.join(stack.running)} started; run folder {todo.run_dir}", flush=True)
            outcome = stack.wait(stop, report=lambda ended: print(f"lpds: {ended}", flush=True))
            print(f"lpds: ending: {outcome.reason}", flush=True)
    return report_end(outcome, stack)


def plan_text(todo: Plan) -> str:
    """What the arguments come to, in the order of starting: what is included, then our processes with their parameters."""
    lines = []
    for part in todo.beside:
        if isinstance(part, Include):
            lines += [f"include {part.package}/{part.file}"] + [f"  {n}:={value}" for n, value in part.arguments.items()]
        else:
            lines += [f"run {part.package} {part.executable} {' '.join(part.words)}"]
    for process in todo.processes:
        lines += [f"run lpds_ros {process.executable}"] + [f"  {n}: {value!r}" for n, value in process.parameters.items()]
    return "\n".join(lines)


def _hand_over(todo: Plan, name: str, words: list[str]) -> int:
    """Become `ros2 launch` of the same file and arguments. Raises LaunchError where there is none."""
    ros2 = shutil.which("ros2")
    if ros2 is None:
        raise unstartable(todo.beside)
    print(f"lpds: going on as ros2 launch, which starts {todo.beside[0].package} beside the stack", flush=True)
    os.execv(ros2, [ros2, "launch", str(resource(f"launch/{name}")), *words])


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
