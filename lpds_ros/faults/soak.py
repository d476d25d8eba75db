"""A running stack sampled for a long time: memory, file handles, threads and latencies of each node, and their slope."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lpds_ros.durable import write_whole
from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.live import Live

EVERY_S = 2.0
SETTLED = 0.25  # of the time is start-up: caches fill, the allocator finds its size
# Per hour, beyond what a sample's own scatter explains. A replay and a log's index grow with what they hold.
MAX_MIB_PER_H, MAX_HANDLES_PER_H, MAX_THREADS_PER_H, MAX_MS_PER_H = 30.0, 2.0, 2.0, 5.0


@dataclass(frozen=True)
class Slope:
    """Of one number of one node: at the start and the end of the settled part, per hour, and that slope's 95 % half-width."""

    node: str
    what: str
    unit: str
    first: float
    last: float
    per_h: float
    uncertain: float
    limit: float

    @property
    def steady(self) -> bool:
        """Whether the drift is not surely beyond the limit."""
        return self.per_h - self.uncertain <= self.limit


LIMITS = {"memory": ("MiB", MAX_MIB_PER_H), "handles": ("", MAX_HANDLES_PER_H), "threads": ("", MAX_THREADS_PER_H)}


def sampled(pid: int) -> dict[str, float]:
    """Resident memory (MiB), open file handles and threads of a process, from /proc. Raises OSError when it is gone."""
    place = Path(f"/proc/{pid}")
    pages = int((place / "statm").read_text().split()[1])
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "handles": float(len(list((place / "fd").iterdir()))),
        "threads": float(len(list((place / "task").iterdir()))),
    }


def watch(live: Live, minutes: float, stop: threading.Event, say: Callable[[str], None]) -> dict[str, dict[str, np.ndarray]]:
    """Sample until the time is over or `stop`; {node: {what: array [n, 2] of (seconds, value)}}."""
    began, series, said = time.monotonic(), {}, 0.0

    def add(node, what, value):
        series.setdefault(node, {}).setdefault(what, []).append((time.monotonic() - began, value))

    while not stop.wait(EVERY_S) and time.monotonic() - began < 60.0 * minutes:
        live.probe.check()
        for name in [process.name for process in live.plan.processes]:
            for what, value in sampled(live.pid(name)).items():
                add(name, what, value)
        last = live.probe.node.status[-1].said
        add("steering", "tick p99", 1e3 * last.tick_p99_s)
        add("steering", "late p99", 1e3 * last.lateness_p99_s)
        add("steering", "observation age p99", 1e3 * last.observation_age_p99_s)
        add("steering", "missed share", 100.0 * last.missed_deadlines / max(1, last.ticks))
        if time.monotonic() - began > said + 60.0:
            said = time.monotonic() - began
            rss = {name: f"{found['memory'][-1][1]:.0f}" for name, found in series.items() if "memory" in found}
            say(f"{said / 60:.0f} min: MiB {rss}, {last.ticks} ticks, late p99 {1e3 * last.lateness_p99_s:.1f} ms")
    return {node: {what: np.array(rows) for what, rows in found.items()} for node, found in series.items()}


def slopes(series: dict[str, dict[str, np.ndarray]]) -> list[Slope]:
    """The drift of every number over the settled part."""
    found = []
    for node, numbers in series.items():
        for what, rows in numbers.items():
            unit, limit = LIMITS.get(what, ("%" if what == "missed share" else "ms", MAX_MS_PER_H))
            kept = rows[int(SETTLED * len(rows)) :]
            hours, values = kept[:, 0] / 3600.0, kept[:, 1]
            if len(kept) < 8:
                continue
            (slope, _), covariance = np.polyfit(hours, values, 1, cov=True)
            ends = max(1, len(kept) // 10)
            uncertain = 2.0 * float(np.sqrt(covariance[0, 0]))
            found.append(
                Slope(
                    node, what, unit, float(values[:ends].mean()), float(values[-ends:].mean()), float(slope), uncertain, limit
                )
            )
    return found


@case("F35", "the stack runs on", "no drift of memory, handles, threads", "learner",
      "one minute in place of 24 hours: `lpds faults soak --minutes 1440` is the fault itself")  # fmt: skip
def a_minute(live):
    live.settled()
    found = [s for s in slopes(watch(live, 1.0, threading.Event(), lambda text: None)) if s.what in LIMITS]
    grown = {name: sum(s.last - s.first for s in found if s.what == name) for name in LIMITS}
    drifting = [f"{s.node} {s.what}" for s in found if not s.steady]
    note = f"all nodes together: {grown['memory']:+.1f} MiB, {grown['handles']:+.1f} handles, {grown['threads']:+.1f} threads"
    return Finding(not drifting, note + (f"; drifting: {', '.join(drifting)}" if drifting else ""))


def markdown(found: list[Slope], minutes: float) -> str:
    """The table of the drifts."""
    lines = [
        f"{minutes:.1f} minutes, the first quarter left out of the drift.",
        "",
        "| node | what | first | last | drift per hour | limit | verdict |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for s in found:
        name = f"{s.what}, {s.unit}" if s.unit else s.what
        drift = f"{s.per_h:+.2f} ± {s.uncertain:.2f}"
        verdict = "steady" if s.steady else "**DRIFTS**"
        lines.append(f"| {s.node} | {name} | {s.first:.1f} | {s.last:.1f} | {drift} | {s.limit:g} | {verdict} |")
    return "\n".join([*lines, ""])


def write(series, found: list[Slope], minutes: float, out: Path, command: str):
    """soak.md, soak.json and soak.png in `out`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "soak.md", f"`{command}`\n\n{markdown(found, minutes)}".encode())
    made = {"command": command, "minutes": minutes, "drifts": [asdict(s) for s in found]}
    write_whole(out / "soak.json", json.dumps(made, indent=1).encode())
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True)
    for axis, what in zip(axes.flat, ("memory", "handles", "threads", "late p99")):
        for node, numbers in series.items():
            if what in numbers:
                axis.plot(numbers[what][:, 0] / 60.0, numbers[what][:, 1], label=node)
        axis.set_ylabel({"memory": "resident memory, MiB", "late p99": "late p99, ms"}.get(what, what))
        axis.set_ylim(bottom=0.0)
    axes[0, 0].legend(fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(out / "soak.png", dpi=110)
    plt.close(figure)
