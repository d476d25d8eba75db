"""How a run looks in a terminal while it goes on: a live table, or one line per episode where there is no terminal."""

import math

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lpds_ros.records import Mode
from lpds_ros.summary import WINDOW, RunSummary

BLOCKS = "▁▂▃▄▅▆▇█"
TREND_WIDTH = 48


def percent(value: float) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.0f} %"


def milliseconds(value_s: float) -> str:
    return f"{1e3 * value_s:.2f} ms"


def number(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def trend(summary: RunSummary, width: int = TREND_WIDTH) -> str:
    """Success over the whole run as a row of blocks: each the mean of an equal share of the episodes."""
    won = [row.success for row in summary.rows]
    if not won:
        return ""
    cells = min(width, max(1, len(won) // 5))
    shares = [won[i * len(won) // cells : (i + 1) * len(won) // cells] for i in range(cells)]
    return "".join(BLOCKS[round((len(BLOCKS) - 1) * sum(share) / len(share))] for share in shares)


def live_table(summary: RunSummary, *, title: str, episodes: int, prior_success: float | None) -> Panel:
    """The live view. episodes: after how many the run ends (0: never). prior_success: of the prior on fixed seeds."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right", min_width=12)
    grid.add_column()
    of = f" of {episodes}" if episodes else ""
    grid.add_row("episode", f"[bold]{len(summary.rows)}[/bold]{of}   {trend(summary)}")
    grid.add_row("success", _success(summary, prior_success))
    steering, learner = summary.steering, summary.learner
    if learner is not None:
        grid.add_row("weights", _weights(summary))
        alpha = number(learner.alpha, 4)
        bound = (
            f"E‖Δ‖² {number(learner.delta_sq, 3)} of δ {number(learner.delta_budget, 3)} ({learner.delta_reduction})"
        )
        grid.add_row("trust region", f"{bound}, α {alpha}")
    if steering is not None:
        missed = f"[red]{steering.missed_deadlines}[/red]" if steering.missed_deadlines else "0"
        tick = f"p50 {milliseconds(steering.tick_p50_s)}, p99 {milliseconds(steering.tick_p99_s)}"
        grid.add_row("tick", f"{tick}, {missed} missed deadlines, decoder on {steering.provider or '–'}")
    grid.add_row("time", f"{summary.wall_s:.0f} s, {number(summary.sim_per_wall, 1)} simulated seconds a second")
    notes = [Text(text, style="yellow") for text in remarks(summary)]
    return Panel(Group(grid, *notes), title=title, title_align="left", border_style="dim")


def _success(summary: RunSummary, prior_success: float | None) -> str:
    text = f"[bold]{percent(summary.success())}[/bold] of the last {min(WINDOW, max(len(summary.rows), 1))}"
    under_prior = [r for r in summary.rows if r.weights_version == 0]
    if prior_success is not None:
        return f"{text}   (frozen prior, fixed seeds: {percent(prior_success)})"
    return f"{text}   (under the frozen prior: {percent(summary.success(under_prior))} of {len(under_prior)})"


def _weights(summary: RunSummary) -> str:
    learner, installed = summary.learner, summary.steering.weights_version if summary.steering else 0
    rate = f"{learner.updates} updates, {learner.updates_per_s:.0f} a second, {learner.backlog} owed"
    return f"version [bold]{installed}[/bold]   learner {learner.state}: {rate}"


def remarks(summary: RunSummary) -> list[str]:
    """What a person must know now: why the arm does not move, which push was refused, why nothing is learned."""
    steering, learner, lines = summary.steering, summary.learner, []
    if steering is None:
        lines.append("starting …")
    elif steering.mode >= Mode.HOLD:
        lines.append(f"{steering.mode.name}: {steering.reason}")
    if steering is not None and steering.weights_rejected:
        lines.append(f"weights refused: {steering.weights_rejected}")
    if learner is not None and learner.reason:
        lines.append(f"learner {learner.state}: {learner.reason}")
    return lines


def episode_line(summary: RunSummary, index: int) -> str:
    """The episode at `index` in one line, for logs and pipes."""
    row, steering = summary.rows[index], summary.steering
    words = [
        f"episode {index + 1}: {row.reason}, {row.ticks} ticks",
        f"last {WINDOW}: {percent(summary.success(summary.rows[max(0, index + 1 - WINDOW) : index + 1]))}",
        f"version {row.weights_version}",
        f"alpha {number(row.alpha, 4)}",
        f"E|D|^2 {number(row.delta_sq, 3)} of {number(row.delta_budget, 3)}",
    ]
    if steering is not None:
        words.append(f"tick p99 {milliseconds(steering.tick_p99_s)}, missed {steering.missed_deadlines}")
    return "; ".join([*words, f"{number(summary.sim_per_wall, 1)} simulated s/s"])


def closing_lines(result: dict) -> list[str]:
    """The summary a person reads at the end, from the dictionary that goes into summary.json."""
    success, first = result["success"], result["first_steered_episode"]
    lines = [
        f"{result['episodes']} episodes in {result['wall_s']:.0f} s "
        f"({number(_float(result['simulated_s_per_wall_s']), 1)} simulated seconds a second); {result['end']}"
    ]
    if result["episodes"]:
        window = min(success["window"], result["episodes"])
        lines.append(
            f"success: {percent(success['first'])} of the first {window}, "
            f"{percent(success['last'])} of the last {window}"
        )
    if first:
        lines.append(f"first steered episode: number {first['number']}, after {first['wall_s']:.0f} s")
    steering = result["steering"]
    if steering:
        p50, p99 = milliseconds(steering["tick_p50_s"]), milliseconds(steering["tick_p99_s"])
        lines.append(f"steering tick: p50 {p50}, p99 {p99}; {steering['missed_deadlines']} missed deadlines")
    return lines


def _float(value) -> float:
    return math.nan if value is None else value
