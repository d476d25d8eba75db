"""`lpds demo`: start the stack in simulation from the shipped prior and watch it get better."""

import contextlib
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console
from rich.live import Live

from lpds_ros.arguments import LaunchError, parse
from lpds_ros.bringup import Plan, plan
from lpds_ros.config import build, read_yaml
from lpds_ros.plots import draw_run
from lpds_ros.resources import resource
from lpds_ros.run_folder import CURVE, PARAMETERS_FILE
from lpds_ros.stack import Outcome, Stack, stop_on_signal
from lpds_ros.summary import EPISODES_FILE, SUMMARY_FILE, RunSummary, read_rows, write_summary
from lpds_ros.view import closing_lines, episode_line, live_table

HELP = "learn in simulation from the shipped prior, shown live; Ctrl-C ends it with a summary and a picture"
REFRESH_HZ = 4
LAST_EPISODE_S = 2.0


@dataclass(frozen=True)
class DemoConfig:
    """config/demo.yaml. episodes: after how many the demo ends by itself. arguments: launch arguments."""

    episodes: int
    arguments: dict[str, str] = field(default_factory=dict)


def add_arguments(parser):
    parser.add_argument("--episodes", type=int, help="end after so many episodes (default: config/demo.yaml)")
    parser.add_argument("--seed", type=int, help="seed of episodes, noise and learner (default 0)")
    parser.add_argument("--name", help="last part of the run folder's name (default: the task)")
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on with a run folder: its log, checkpoint and arguments"
    )
    parser.add_argument(
        "arguments", nargs="*", metavar="name:=value", help="launch arguments (lpds launch … --show-args)"
    )


def run(args) -> int:
    todo = plan(parse(launch_words(args)))
    return watch(todo, Console(), earlier=earlier_rows(todo.run_dir) if args.resume else [])


def launch_words(args) -> list[str]:
    """Launch arguments of the demo: config/demo.yaml, a resumed run's own, the options, then name:=value words."""
    config = build(DemoConfig, read_yaml(resource("config/demo.yaml")), "config/demo.yaml")
    values = {**config.arguments, "episodes": str(config.episodes)}
    if args.resume:
        values = resumed(args.resume)
    for name in ("episodes", "seed", "name"):
        if getattr(args, name) is not None:
            values[name] = str(getattr(args, name))
    return [f"{name}:={value}" for name, value in values.items()] + args.arguments


def resumed(run_dir: Path) -> dict[str, str]:
    """Arguments to go on with a run: its own, the same folder, and episode numbers that go on counting."""
    file = run_dir / PARAMETERS_FILE
    if not file.is_file():
        raise LaunchError(
            f"{run_dir}: no {PARAMETERS_FILE}, so no run folder; --resume takes a folder that `lpds demo` made"
        )
    stored = yaml.safe_load(file.read_text())["arguments"]
    values = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in stored.items()}
    return values | {"run_dir": str(run_dir.resolve()), "first_episode": str(len(earlier_rows(run_dir)))}


def earlier_rows(run_dir: Path) -> list:
    file = run_dir / EPISODES_FILE
    return read_rows(file) if file.exists() else []


def watch(todo: Plan, console: Console, *, earlier: list) -> int:
    """Run the plan with a live view until it ends, then write summary.json and curve.png. Returns the exit code."""
    from lpds_ros.nodes.monitor import Monitor  # imports rclpy, after the command line has been found good

    summary = RunSummary(todo.contract.period_s, todo.run_dir / EPISODES_FILE, earlier=tuple(earlier))
    with stop_on_signal() as stop:
        stack = Stack(todo)
        with Monitor(summary, todo.namespace) as monitor, stack:
            outcome = _follow(stack, monitor, summary, console, stop)
            say(console, f"ending: {outcome.reason} …")
    for name in stack.killed:
        say(console, f"{name} did not end when asked and was killed")
    finish(todo, summary, outcome, console)
    if outcome.code:
        sys.stderr.writelines(f"  {line}\n" for line in outcome.lines)
    return outcome.code


def _follow(stack: Stack, monitor, summary: RunSummary, console: Console, stop: threading.Event) -> Outcome:
    """Show the run, as a live table or line by line, until it ends by itself, by `stop` or after its episodes."""
    todo, shown_rows, done = stack.plan, summary.earlier, False
    last = summary.earlier + todo.arguments.episodes if todo.arguments.episodes else 0
    title, prior = f"lpds demo · {todo.arguments.task} · {shown(todo.run_dir)}", prior_success(todo)

    def each():
        nonlocal shown_rows, done
        monitor.check()
        while shown_rows < len(summary.rows):
            if not console.is_terminal:
                say(console, episode_line(summary, shown_rows))
            shown_rows += 1
        if last and shown_rows >= last:
            done = True
            stop.set()

    def table():
        return live_table(summary, title=title, episodes=last, prior_success=prior)

    if console.is_terminal:
        live = Live(console=console, refresh_per_second=REFRESH_HZ, get_renderable=table)
    else:
        say(console, f"lpds demo: {', '.join(stack.running)} started; run folder {shown(todo.run_dir)}")
        live = contextlib.nullcontext()
    with live:
        outcome = stack.wait(stop, each=each, report=lambda ended: say(console, str(ended)))
        deadline_s = time.monotonic() + LAST_EPISODE_S
        while outcome.code == 0 and not stop.is_set() and time.monotonic() < deadline_s:
            each()  # steering is done: its last episode is on its way through this process
            stop.wait(0.05)
    return Outcome("all episodes done", 0) if done else outcome


def say(console: Console, text: str):
    """One plain line, whatever its length."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def finish(todo: Plan, summary: RunSummary, outcome: Outcome, console: Console):
    """Write summary.json and curve.png and say what came out."""
    run_dir, arguments = todo.run_dir, todo.arguments
    result = {"task": arguments.task, "seed": arguments.seed, "run": run_dir.name} | summary.result(outcome.reason)
    write_summary(run_dir / SUMMARY_FILE, result)
    for line in closing_lines(result):
        say(console, line)
    if summary.rows:
        title = f"{arguments.task}, seed {arguments.seed}: {len(summary.rows)} episodes"
        reduction = summary.learner.delta_reduction if summary.learner else "mean"
        draw_run(summary.rows, run_dir / CURVE, title=title, prior_success=prior_success(todo), reduction=reduction)
        say(console, f"picture {shown(run_dir / CURVE)}, everything else beside it")
    if todo.bundle is not None and (run_dir / "actor" / "latest.safetensors").exists():
        judge = (
            f"lpds eval --bundle {shown(todo.bundle.path)} --actor {shown(run_dir / 'actor' / 'latest.safetensors')}"
        )
        say(console, f"on fixed seeds: {judge}")


def prior_success(todo: Plan) -> float | None:
    """Success of the frozen prior on fixed seeds, where the bundle carries an evaluation (`lpds prior eval --json`)."""
    if todo.bundle is None:
        return None
    try:
        return float(json.loads((todo.bundle.path / "evaluation.json").read_text())["success"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shown(path: Path) -> str:
    """The path as a person would type it here: relative to the working directory where it lies under it."""
    path = Path(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
