"""`lpds bench demos`: make the demonstrations a suite's priors are trained on, here and without a download."""

import signal
import threading
from pathlib import Path

from lpds_ros.commands.bench_run import ROOT

HELP = "make or import the demonstrations of a suite; Ctrl-C, and the same command goes on"


def add_arguments(parser):
    parser.add_argument("--suite", required=True, help="for example gym")
    parser.add_argument("--task", nargs="+", help="tasks of the suite (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--episodes", type=int, help="episodes to record (default: the suite's)")
    parser.add_argument("--root", type=Path, default=ROOT, help=f"written to <root>/demos (default {ROOT})")
    parser.add_argument("--from", dest="source", type=Path, help="import a robomimic HDF5 file or a Minari data set's folder")
    parser.add_argument("--mask", default="", help="with --from: a filter of the robomimic file, for example 20_percent")
    parser.add_argument("--again", action="store_true", help="record anew what is there already")


def run(args) -> int:
    from lpds_ros.bench.demonstrations import folder_of
    from lpds_ros.bench.task import find_tasks

    if args.jobs < 1 or args.episodes is not None and args.episodes < 1:
        raise ValueError("--jobs and --episodes must be at least 1")
    tasks = find_tasks(args.suite, args.task)
    if args.source is not None:
        return take(args, tasks)
    if args.mask:
        raise ValueError("--mask chooses episodes of --from FILE; without it nothing is filtered")
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        for task in tasks:
            folder = folder_of(args.root, task.suite, task.name)
            if task.make_demonstrations is None:
                print(f"{task.name}: scripted, made whenever a prior is trained; nothing to do")
                continue
            if not args.again and (count := present(task, folder)):
                print(f"{task.name}: {count} episodes in {folder} already; --again records anew")
                continue
            done = task.make_demonstrations(
                folder, jobs=args.jobs, episodes=args.episodes, on_progress=print, should_stop=stop.is_set
            )
            if not done:
                print(f"{task.name}: stopped; the same command goes on from here")
                return 130
            print(f"{task.name}: written to {folder}")
    finally:
        signal.signal(signal.SIGINT, before)
    return 0


def present(task, folder: Path) -> int:
    """How many episodes lie in `folder`, 0 when none can be read."""
    from lpds_ros.bench.task import BenchError

    try:
        return len(task.demonstrations(folder))
    except BenchError:
        return 0


def take(args, tasks) -> int:
    """Import a published data set as the demonstrations of one task."""
    from lpds_ros.bench.datasets import read_dataset
    from lpds_ros.bench.demonstrations import FILE, folder_of, save_demonstrations

    if len(tasks) != 1 or tasks[0].make_demonstrations is None:
        raise ValueError("--from fills one task of gym, adroit or robomimic: name it with --task")
    (task,) = tasks
    folder = folder_of(args.root, task.suite, task.name)
    if not args.again and (count := present(task, folder)):
        raise ValueError(f"{task.name}: {count} episodes in {folder} already; --again replaces them")
    demos = read_dataset(args.source, task.problem, mask=args.mask, environment=task.environment)[: args.episodes]
    save_demonstrations(folder / FILE, demos)
    print(f"{task.name}: {len(demos)} episodes of {args.source} in {folder}")
    return 0
