"""`lpds bench demos`: make the demonstrations a suite's priors are trained on, here and without a download."""

import signal
import threading
from pathlib import Path

from lpds_ros.commands.bench_run import ROOT

HELP = "make the demonstrations of a suite (random search, scripted experts); Ctrl-C, and the same command goes on"


def add_arguments(parser):
    parser.add_argument("--suite", required=True, help="for example gym")
    parser.add_argument("--task", nargs="+", help="tasks of the suite (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--episodes", type=int, help="episodes to record (default: the suite's)")
    parser.add_argument("--root", type=Path, default=ROOT, help=f"written to <root>/demos (default {ROOT})")
    parser.add_argument("--again", action="store_true", help="record anew what is there already")


def run(args) -> int:
    from lpds_ros.bench.task import BenchError, find_tasks

    if args.jobs < 1 or args.episodes is not None and args.episodes < 1:
        raise ValueError("--jobs and --episodes must be at least 1")
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        for task in find_tasks(args.suite, args.task):
            folder = args.root / "demos" / task.suite / task.name
            if task.make_demonstrations is None:
                print(f"{task.name}: scripted, made whenever a prior is trained; nothing to do")
                continue
            if not args.again:
                try:
                    demos = task.demonstrations(folder)
                except BenchError:
                    demos = []
                if demos:
                    print(f"{task.name}: {len(demos)} episodes in {folder} already; --again records anew")
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
