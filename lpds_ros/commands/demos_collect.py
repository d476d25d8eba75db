"""`lpds demos collect`: an operator drives, the recorder writes, and the successful episodes become one HDF5 file."""

from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lpds_ros.arguments import LaunchError, parse
from lpds_ros.bringup import Plan, plan, seed_base
from lpds_ros.collect import Collector
from lpds_ros.commands._demos import contract_path, find_contract
from lpds_ros.contract import Contract
from lpds_ros.data.robomimic import write_demos_hdf5
from lpds_ros.demos import read_demos
from lpds_ros.stack import Outcome, Stack, stop_on_signal
from lpds_ros.summary import EPISODES_FILE, RunSummary
from lpds_ros.view import percent

COLUMNS = (
    TextColumn("{task.description}"),
    MofNCompleteColumn(),
    TextColumn("{task.fields[note]}"),
    TimeRemainingColumn(),
)
HELP = "record demonstrations: an operator drives the arm, successful episodes become one HDF5 file"


def add_arguments(parser):
    parser.add_argument("--episodes", type=int, default=60, help="episodes to record (default 60)")
    parser.add_argument("--task", default="lift", help="task (default lift)")
    parser.add_argument(
        "--contract", help="file, or name under config/contracts (default: the task's); with images the scripted operator drives"
    )
    parser.add_argument("--out", type=Path, required=True, help="demonstrations file to write (.hdf5)")
    parser.add_argument("--teleop", default="scripted", help="device: scripted, keyboard, gamepad or spacemouse")
    parser.add_argument(
        "--region", default="demo", help="where the simulation puts the object: demo or full (default demo)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="further launch arguments")


def run(args) -> int:
    if args.out.exists():
        raise LaunchError(f"{args.out} exists: name another file, or move it away")
    if args.episodes < 1:
        raise LaunchError("--episodes must be at least 1")
    console, contract = Console(), find_contract(args.contract)
    if contract is not None and contract.images and args.teleop == "scripted":
        return collect_pictures(contract, args, console)
    todo = plan(parse(launch_words(args)))
    outcome = collect(todo, console)
    if outcome.code:
        for line in (f"{outcome.reason}; its last lines:", *outcome.lines):
            console.print(line, highlight=False, soft_wrap=True)
        return outcome.code
    demos, contract, _ = read_demos(todo.run_dir, todo.contract)
    write_demos_hdf5(args.out, demos, contract)
    return said(len(demos), args.out, console)


def said(count: int, out: Path, console: Console) -> int:
    """Say where they are."""
    console.print(f"{count} demonstrations written to {out}; look at them with: lpds demos info {out}", soft_wrap=True)
    return 0


def launch_words(args) -> list[str]:
    """No prior, an operator, lockstep where no person's hand is waited for; pictures are in the recorded streams alone."""
    contract = find_contract(args.contract)
    values = {
        "prior": "none",
        "learner": "false",
        "teleop": args.teleop,
        "clock": "lockstep" if args.teleop == "scripted" else "realtime",
        "task": args.task,
        "region": args.region,
        "seed": args.seed,
        "episodes": args.episodes,
        "contract": str(contract_path(args.contract)) if args.contract else "auto",
        "record_streams": str(contract is not None and bool(contract.images)).lower(),
        "name": f"demos-{args.task}",
    }
    return [f"{name}:={value}" for name, value in values.items()] + args.arguments


def collect_pictures(contract: Contract, args, console: Console) -> int:
    """The scripted operator under a contract with images, in this process; what it did not succeed in is left out."""
    if args.arguments:
        raise LaunchError(f"{args.arguments[0]}: launch arguments are for a stack; with images the scripted operator needs none")
    first = seed_base(args.seed)
    collector, kept = Collector(contract, seed=args.seed, region=args.region), 0

    def successful():
        nonlocal kept
        bar = progress.add_task("episodes", total=args.episodes, note="")
        for done, demo in enumerate(collector.episodes(list(range(first, first + args.episodes))), 1):
            kept += demo.success
            progress.update(bar, completed=done, note=f"{percent(kept / done)} succeeded")
            if demo.success:
                yield demo

    try:
        with Progress(*COLUMNS, console=console) as progress:
            write_demos_hdf5(args.out, successful(), contract)
    finally:
        collector.close()
    return said(kept, args.out, console)


def collect(todo: Plan, console: Console) -> Outcome:
    """Run until all episodes are recorded or the operator's Ctrl-C; what was recorded until then counts."""
    from lpds_ros.nodes.monitor import Monitor  # imports rclpy, after the command line has been found good

    summary, total = RunSummary(todo.contract.period_s, todo.run_dir / EPISODES_FILE), todo.arguments.episodes
    stack = Stack(todo)
    with stop_on_signal() as stop, Monitor(summary, todo.namespace) as monitor, stack:
        with Progress(*COLUMNS, console=console) as progress:
            bar = progress.add_task("episodes", total=total, note="")

            def each():
                monitor.check()
                progress.update(
                    bar, completed=len(summary.rows), note=f"{percent(summary.success(summary.rows))} succeeded"
                )
                if len(summary.rows) >= total:
                    stop.set()

            outcome = stack.wait(stop, each=each, report=lambda ended: console.print(str(ended)))
            each()
    return outcome
