"""The campaign: its cases one after the other, a stack started once for all of its cases, then the log against what was heard."""

import dataclasses
import json
import logging
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from lpds_ros.config import nearest
from lpds_ros.data.rollout_log import RolloutLogError, read_log
from lpds_ros.durable import write_whole
from lpds_ros.faults import cameras, cores, decoders, files, pushes, robot, soak, streams  # noqa: F401 (their cases)
from lpds_ros.faults import processes as processes_cases  # noqa: F401
from lpds_ros.faults.finding import CASES, Case, Finding, Row, carried_out
from lpds_ros.faults.live import Live
from lpds_ros.records import Decision
from lpds_ros.run_folder import git_commit, versions

ALL = tuple(f"F{number:02d}" for number in range(1, 36))
PLACES = {
    "core": "no processes",
    "stack": "the stack without a learner",
    "eyes": "the same with cameras",
    "learner": "the stack with a learner",
}
WORDS = {"stack": ("learner:=false",), "eyes": ("learner:=false", "prior:=lift_images"), "learner": ()}


class CampaignError(ValueError):
    """A fault that is not in the list."""


def chosen(only: tuple[str, ...], fast: bool) -> list[Case]:
    """The cases to run, in the order of running. Raises CampaignError naming the nearest fault."""
    for name in only:
        if name not in ALL:
            raise CampaignError(f"unknown fault '{name}'{nearest(name, ALL)}")
    cases = [c for c in CASES if (not only or c.fault in only) and (not fast or c.place == "core")]
    return sorted(cases, key=lambda c: (list(PLACES).index(c.place), c.fault))


def run_cases(
    cases: list[Case], folder: Path, stop: threading.Event, words: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[Row]:
    """Carry the cases out; ended by `stop` between two of them. words: further launch arguments."""
    for place, what in PLACES.items():
        here = [c for c in cases if c.place == place]
        if not here or stop.is_set():
            continue
        say(f"-- {what} --")
        rows = []
        with ExitStack() as stack:
            logger = logging.getLogger("lpds_ros.data")
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)  # what is wrong with the logs is wrong on purpose
            subject = folder / place
            if place != "core":
                try:
                    subject = stack.enter_context(Live(subject, "clock:=realtime", *WORDS[place], *words))
                except Exception as error:  # noqa: BLE001 (a stack that does not start fails its cases, and the others go on)
                    rows = [unstarted(case, error) for case in here]
                    say("\n".join(map(line, rows)))
                    yield from rows
                    continue
            for case in here:
                if stop.is_set():
                    break
                own = folder / place / f"{case.fault}-{len(rows)}" if place == "core" else subject
                if place == "core":
                    own.mkdir(parents=True, exist_ok=True)
                rows.append(carried_out(case, own))
                say(line(rows[-1]))
            heard = [] if place == "core" else list(subject.probe.node.decisions)
        yield from rows if place == "core" else accounted(rows, heard, subject.run_dir)


def unstarted(case: Case, error: Exception) -> Row:
    """The row of a case whose stack did not come up."""
    now = time.time_ns()
    return Row(case, Finding(False, f"the stack did not start: {type(error).__name__}: {error}", recovered="no"), now, now)


def accounted(rows: list[Row], heard: list, run_dir: Path) -> Iterator[Row]:
    """The rows with the decisions that the log lost and those that it gives twice, by their ids.

    A session's ids grow by one, so that a number that is in the log's range and missing is lost too, heard or not.
    """
    try:
        found = [record for _, record in read_log(run_dir) if isinstance(record, Decision)]
    except RolloutLogError:
        found = []
    there = Counter(record.key for record in found)
    for row in rows:
        mine = {h.said for h in heard if row.began_ns <= h.at_ns <= row.ended_ns}
        ranges = {}
        for session, number in mine:
            low, high = ranges.get(session, (number, number))
            ranges[session] = min(low, number), max(high, number)
        wanted = {(s, n) for s, (low, high) in ranges.items() for n in range(low, high + 1)}
        doubled = sum(there[key] > 1 for key in wanted)
        finding = dataclasses.replace(row.finding, lost=len(wanted - there.keys()), doubled=doubled)
        lost = finding.lost or finding.doubled
        yield dataclasses.replace(row, finding=dataclasses.replace(finding, ok=finding.ok and not lost))


def line(row: Row) -> str:
    """One row for the terminal."""
    finding = row.finding
    verdict = "ok    " if finding.ok else "FAILED"
    return f"{verdict} {row.case.fault} {row.case.name}: {finding.note}"


HEAD = "| | fault | demand | detected, ms | reacted, ms | recovered | lost / doubled | verdict |"


def markdown(rows: list[Row]) -> str:
    """The table, one line a case, in the order of the list; below it what was seen and what stood in for what."""
    rows = sorted(rows, key=lambda r: r.case.fault)
    lines = [HEAD, "|---|---|---|---:|---:|---|---|---|"]
    notes = []
    for row in rows:
        f, c = row.finding, row.case
        verdict = ("ok" if f.ok else "**FAILED**") + (" (stand-in)" if c.stand_in else "")
        lost = "–" if f.lost is None else f"{f.lost} / {f.doubled}"
        cells = [c.fault, c.name, c.demand, _number(f.detected_ms), _number(f.reacted_ms), f.recovered, lost, verdict]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        stand_in = f" *Stand-in: {c.stand_in}.*" if c.stand_in else ""
        notes.append(f"- {c.fault}, {c.name}: {' '.join(f.note.split())}{stand_in}")
    return "\n".join([*lines, "", "What was seen:", "", *notes, ""])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def write(rows: list[Row], out: Path, command: str):
    """faults.md and faults.json in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    missing = sorted(set(ALL) - {row.case.fault for row in rows})
    made = {
        "command": command,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "git_commit": git_commit(),
        "versions": versions(),
        "not_run": missing,
    }
    table = [
        {"fault": r.case.fault, "name": r.case.name, "demand": r.case.demand, "stand_in": r.case.stand_in, "place": r.case.place}
        | dataclasses.asdict(r.finding)
        for r in rows
    ]
    write_whole(out / "faults.json", json.dumps(made | {"rows": table}, indent=1).encode())
    head = f"`{command}`, {made['date']}, commit {str(made['git_commit'])[:12]}"
    rest = f"\nNot run: {', '.join(missing)}.\n" if missing else ""
    write_whole(out / "faults.md", f"{head}\n\n{markdown(rows)}{rest}".encode())
