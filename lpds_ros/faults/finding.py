"""One case of the campaign and what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

GOOD, FAILED, PARTLY = "ok", "FAILED", "partly"


@dataclass(frozen=True)
class Finding:
    """ok: the demand was met. detected_ms, reacted_ms: after the injection; None where there is no such moment.

    recovered: "by itself", "after lpds/arm", "after a person", "not needed" or "no". lost, doubled: decisions by their ids in
    the log, None where none are made. note: what was seen, or why it failed.
    """

    ok: bool
    note: str
    detected_ms: float | None = None
    reacted_ms: float | None = None
    recovered: str = "not needed"
    lost: int | None = None
    doubled: int | None = None


@dataclass(frozen=True)
class Case:
    """fault: "F01" … "F35". name: what is injected, short. demand: what must happen, within what time.

    place: "stack" (the processes with the simulation), "eyes" (the same with cameras and a prior that sees), "learner" (with a
    learner), or "core" (no processes).
    stand_in: what was injected in place of the fault itself, and why; empty where it was the fault.
    """

    fault: str
    name: str
    demand: str
    place: str
    run: Callable[..., Finding]
    stand_in: str = ""


@dataclass(frozen=True)
class Row:
    """A case's line in the table. began_ns, ended_ns: system time."""

    case: Case
    finding: Finding
    began_ns: int
    ended_ns: int


CASES: list[Case] = []


def case(fault: str, name: str, demand: str, place: str, stand_in: str = ""):
    """Decorator: put a function into the campaign. It gets the running stack (place "stack", "learner"), or a folder ("core")."""

    def add(run):
        CASES.append(Case(fault, name, demand, place, run, stand_in))
        return run

    return add


def carried_out(case: Case, subject) -> Row:
    """Run one case. What it raises is its failure: a campaign goes on."""
    began = time.time_ns()
    try:
        finding = case.run(subject)
        finding = replace(finding, ok=bool(finding.ok))  # of arrays one comes as numpy's, which JSON does not know
    except Exception as error:  # noqa: BLE001 (the failure is the finding)
        finding = Finding(False, f"{type(error).__name__}: {error}", recovered="no")
    return Row(case, finding, began, time.time_ns())
