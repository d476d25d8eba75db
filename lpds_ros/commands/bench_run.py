"""`lpds bench run`: methods on tasks, seed by seed, one result row each; what is done is skipped, what was cut is resumed."""

import dataclasses
import signal
import sys
import threading
import time
from pathlib import Path

HELP = "run LP-DS, DSRL, DPPO, the prior and ablations on a suite; Ctrl-C leaves checkpoints that the same command goes on from"
ROOT = Path("runs/bench")
DEFAULT_METHODS = ("prior", "lpds", "dsrl-na", "dsrl-na-hard")


def add_arguments(parser):
    parser.add_argument("--suite", required=True, help="toy, avoiding, gym, adroit or robomimic")
    parser.add_argument("--task", nargs="+", help="tasks of the suite (default: all)")
    parser.add_argument("--method", nargs="+", help="see --list; fields may be set: lpds:delta=0.1,critics=5")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="one run each (default 0)")
    parser.add_argument("--budget", type=int, help="environment steps, warm-up included (default: the task's)")
    parser.add_argument("--prior-kind", choices=("diffusion", "flow"), help="default: the task's")
    parser.add_argument("--episodes", type=int, help="episodes of the final evaluation (default: the task's)")
    parser.add_argument("--root", type=Path, default=ROOT, help=f"priors, demonstrations, checkpoints (default {ROOT})")
    parser.add_argument("--results", type=Path, help="the rows (default: results.jsonl under --root)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1)")
    parser.add_argument("--again", action="store_true", help="run also what has a row already")
    parser.add_argument("--list", action="store_true", help="show the suite's tasks and the methods, run nothing")


def run(args) -> int:
    import torch

    from lpds_ros.bench.evaluate import Probe
    from lpds_ros.bench.methods import configure
    from lpds_ros.bench.priors import load_prior
    from lpds_ros.bench.results import learns
    from lpds_ros.bench.task import find_tasks, named_by_prior

    tasks = find_tasks(args.suite, args.task)
    if args.list:
        return show(tasks)
    if args.budget is not None and args.budget < 1 or args.episodes is not None and args.episodes < 1:
        raise ValueError("--budget and --episodes must be at least 1")
    torch.set_num_threads(args.threads)
    results = args.results or args.root / "results.jsonl"
    stop = threading.Event()

    def interrupted(*_):
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second one ends at once
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for task in tasks:
            task = dataclasses.replace(task, final_episodes=args.episodes or task.final_episodes)
            methods = args.method or task.methods or DEFAULT_METHODS
            for method in methods:
                configure(method, task)  # a misspelt one is told before hours of others
            prior_config = task.prior
            if args.prior_kind:
                prior_config = dataclasses.replace(task.prior, kind=args.prior_kind)
            watched = sys.stderr.isatty()
            prior = load_prior(task, args.root, config=prior_config, progress=watched, should_stop=stop.is_set)
            if prior_config.kind != task.prior.kind:
                task = dataclasses.replace(task, name=named_by_prior(task.name, prior_config.kind))
                prior = dataclasses.replace(prior, task=task)
            probe = Probe(prior)
            for seed in args.seeds:
                for method in methods:
                    # Nothing of the prior depends on the seed: the same episodes again would only look like evidence.
                    if not learns(method) and seed != args.seeds[0]:
                        continue
                    one(args, task, method, seed if learns(method) else 0, prior, probe, results, stop)
                    if stop.is_set():
                        print("stopped; the same command goes on from here")
                        return 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print(f"rows in {results}; next: lpds bench table --results {results}")
    return 0


def one(args, task, method, seed, prior, probe, results, stop):
    """One run, unless its row is there or another process is at it."""
    from tqdm import tqdm

    from lpds_ros.bench.paths import file_of, save
    from lpds_ros.bench.results import append, differences, latest, read
    from lpds_ros.bench.run import Plan, Run
    from lpds_ros.lease import Lease, LeaseError

    plan = Plan(task, method, seed, args.budget or task.budget)
    name = f"{task.suite}/{task.name} {method} seed {seed}"
    folder = args.root / "runs" / f"{task.suite}-{task.name}-{method.replace(':', '-')}-{seed}"
    try:
        lease = Lease(folder.with_name(folder.name + ".lock"), {"run": name})
    except LeaseError as error:
        print(f"{name}: left to the process that is at it ({error})")
        return
    with lease:
        row = latest(read(results)).get((task.suite, task.name, method, seed))
        if row is not None and not args.again:
            changed = differences(row["setting"], plan.describe(prior))
            note = f" under other settings ({', '.join(changed)}); --again runs it anew" if changed else ""
            print(f"{name}: done already{note}")
            return
        started = time.monotonic()
        with tqdm(total=plan.budget, unit="step", desc=name, dynamic_ncols=True, leave=False, disable=None) as bar:

            def on_point(found):
                tqdm.write(f"{name}: {describe(found, task)}")

            it = Run(plan, prior, probe, folder, on_point=on_point, on_steps=lambda steps: bar.update(steps - bar.n))
            row = it.run(stop.is_set)
        if row is None:
            print(f"{name}: interrupted after {it.state.steps} of {plan.budget} steps, checkpoint in {folder}")
            return
        if it.final.paths:
            save(file_of(results, row), it.final.paths, it.final.modes)
        append(results, row)
        print(f"{name}: {describe(row['curve'][-1], task)}  ({time.monotonic() - started:.0f} s)")


def describe(found: dict, task) -> str:
    """One line about a point of a learning curve."""
    parts = [f"{found['steps']:>7} steps", f"success {found['success']:.2f}", f"return {found['return']:.1f}"]
    parts.append(f"entropy {found['entropy']:.1f}")
    if found["delta_sq_mean"] is not None:
        parts.append(f"Δ² {found['delta_sq_mean']:.3f}")
    if found["alpha"] is not None:
        parts.append(f"α {found['alpha']:.3f}")
    if task.modes:
        parts.append(f"modes {found['effective_modes']:.1f}")
    return "  ".join(parts)


def show(tasks) -> int:
    """The suite's tasks and the methods there are."""
    from lpds_ros.bench.methods import METHODS

    for task in tasks:
        horizons = task.problem.horizons
        print(
            f"{task.suite}/{task.name}: observation {task.problem.observation_size}, action {task.problem.action_size}, "
            f"chunk {horizons.predicted} of which {horizons.executed} run, {task.prior.kind} prior, {task.budget} steps"
        )
    width = max(map(len, METHODS))
    for name, (_, text, _) in METHODS.items():
        print(f"  {name:<{width}}  {text}")
    return 0
