"""Result rows as Markdown: one table a task, one for the aggregate, and where the numbers came from."""

import numpy as np

from lpds_ros.bench.results import latest, learns
from lpds_ros.bench.statistics import Estimate, aggregate, grouped, mean_of, raw_of, scores_of, steps_to

HALFWAY = 0.5
SHARED = ("prior", "problem", "limit", "reward_scale", "final_episodes", "budget")  # settings that rows of a task must share


def markdown(rows: list[dict]) -> str:
    """The whole text. Of runs that were repeated the newest row counts."""
    rows = list(latest(rows).values())
    tasks = grouped(rows)
    parts = []
    for (suite, task), methods in tasks.items():
        parts += [f"### {suite} / {task}", "", task_table(methods), "", *unequal(methods)]
    if len(tasks) > 1:
        parts += ["### All tasks", "", overview_table(tasks), "", aggregate_table(tasks), ""]
    return "\n".join([*parts, origin(rows), ""])


def task_table(methods: dict[str, list[dict]]) -> str:
    """One row a method: score with its interval, gain over the prior, steps to half of the best gain, spread, cost."""
    first = next(iter(methods.values()))[0]
    measure = first["measure"]
    scores = {method: mean_of([raw_of(row) for row in rows]) for method, rows in methods.items()}
    prior = scores.get("prior")
    best = max(score.value for score in scores.values())
    threshold = prior.value + HALFWAY * (best - prior.value) if prior else None
    modes = bool(first["mode_names"])
    kept = any("kept" in row for rows in methods.values() for row in rows)
    head = ["method", "seeds", "steps", f"{measure} (95 %)", *["best kept"] * kept, "gain", "steps to half", "entropy"]
    head += ["energy to prior", "‖w‖", "Δ²"] + ["modes"] * modes + ["updates", "CPU s"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for method, rows in methods.items():
        score = scores[method]
        gain = f"{score.value - prior.value:+{_digits(measure)}}" if prior and method != "prior" else "–"
        cells = [f"`{method}`", len(rows), _span(row["environment_steps"] for row in rows), _score(score, measure)]
        cells += [_best(rows, measure)] * kept + [gain]
        cells += [_threshold(rows, threshold) if learns(method) else "–"]
        cells += [_mean(rows, name) for name in ("entropy", "energy", "latent_norm", "delta_sq_mean")]
        if modes:
            cells.append(f"{_mean(rows, 'effective_modes')} of {len(first['mode_names'])}")
        cells += [_span(row["updates"] for row in rows), f"{np.mean([row['cpu_s'] for row in rows]):.0f}"]
        lines.append(_line(cells))
    return "\n".join(lines)


def unequal(methods: dict[str, list[dict]]) -> list[str]:
    """A paragraph for each setting in which the rows of one task differ though they must not; [] when they compare."""
    found = []
    for name in SHARED:
        values: dict[str, list[str]] = {}
        for method, rows in methods.items():
            for row in rows:
                if row["setting"].get(name) is not None and (name != "budget" or learns(method)):
                    values.setdefault(str(row["setting"][name])[:12], []).append(f"`{method}` {row['seed']}")
        if len(values) > 1:
            parts = [f"{value} in {', '.join(runs)}" for value, runs in values.items()]
            found += [f"**These rows do not compare: their {name} differs.** {'; '.join(parts)}.", ""]
    return found


def overview_table(tasks) -> str:
    """One row a task that all these methods were run on: each one's score, and how far its entropy is from the prior's."""
    full, shared, _ = _complete(tasks)
    lines = [_line(["task", *(f"`{method}`" for method in full)]), _line(["---", *["---:"] * len(full)])]
    for (suite, task), methods in tasks.items():
        if f"{suite}/{task}" not in shared:
            continue
        cells = [task]
        for method in full:
            rows = methods[method]
            cell = f"{mean_of([raw_of(row) for row in rows]).value:{_digits(rows[0]['measure'])}}"
            if learns(method) and "prior" in methods:
                cell += f" ({_entropy(rows) - _entropy(methods['prior']):+.1f})"
            cells.append(cell)
        lines.append(_line(cells))
    return "\n".join(lines) + "\n\nIn brackets: nats of entropy against the prior's."


def _complete(tasks) -> tuple[dict[str, dict[str, list]], set[str], list[str]]:
    """Methods that were run on the most tasks, with their rows by task; the tasks they share; the other methods."""
    by_method: dict[str, dict[str, list]] = {}
    for (suite, task), methods in tasks.items():
        for method, rows in methods.items():
            by_method.setdefault(method, {})[f"{suite}/{task}"] = rows
    widest = max(len(found) for found in by_method.values())
    full = {method: found for method, found in by_method.items() if len(found) == widest}
    return full, set.intersection(*(set(found) for found in full.values())), sorted(set(by_method) - set(full))


def _entropy(rows: list[dict]) -> float:
    return float(np.mean([row["final"]["entropy"] for row in rows]))


def aggregate_table(tasks) -> str:
    """Interquartile mean of scaled scores over the tasks on which every method listed was run; the others are named."""
    full, shared, left = _complete(tasks)
    head = ["method", "tasks", "runs", "IQM of scaled scores (95 %)", "of the best kept"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for method, found in full.items():
        own = {name: found[name] for name in shared}
        runs = sum(len(seeds) for seeds in own.values())
        lines.append(_line([f"`{method}`", len(own), runs, _aggregate(own), _aggregate(_kept_of(own))]))
    note = f"\n\nNot run on all of these tasks, so not aggregated: {', '.join(f'`{m}`' for m in left)}." if left else ""
    return "\n".join(lines) + f"\n\nOver {', '.join(sorted(shared))}." + note


def origin(rows: list[dict]) -> str:
    """Commits and versions behind the rows, each once."""
    commits = sorted({f"{(row['commit'] or 'no commit')[:12]}{' with changes' if row['dirty'] else ''}" for row in rows})
    versions = sorted({", ".join(f"{n} {v}" for n, v in row["versions"].items() if v) for row in rows})
    return f"Commits: {'; '.join(commits)}. Versions: {'; '.join(versions)}. Budgets and settings: in each row."


def _best(rows, measure: str) -> str:
    """Score of the versions that training alone found best, where every row has one."""
    found = _kept(rows)
    return _score(mean_of([raw_of(row) for row in found]), measure) if found else "–"


def _kept(rows: list[dict]) -> list[dict]:
    """The rows with the episodes of their best versions; [] where one has none. A prior has one version."""
    found = [row | row.get("kept", {}) for row in rows if "kept" in row or not learns(row["method"])]
    return found if len(found) == len(rows) else []


def _kept_of(tasks: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """The same of several tasks; {} where one lacks it."""
    found = {task: _kept(rows) for task, rows in tasks.items()}
    return found if all(found.values()) else {}


def _aggregate(tasks: dict[str, list[dict]]) -> str:
    scores = {task: [scores_of(row) for row in rows] for task, rows in tasks.items()}
    return _score(aggregate(scores), "success") if scores else "–"


def _line(cells) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _digits(measure: str) -> str:
    return ".2f" if measure == "success" else ".0f"


def _score(e: Estimate, measure: str) -> str:
    d = _digits(measure)
    return f"{e.value:{d}} ({e.low:{d}} to {e.high:{d}})"


def _span(values) -> str:
    """One number where all are equal, else the lowest and the highest."""
    low, high = min(found := list(values)), max(found)
    return f"{low}" if low == high else f"{low} to {high}"


def _mean(rows, name: str) -> str:
    found = [row["final"][name] for row in rows if row["final"].get(name) is not None]
    return f"{np.mean(found):.2f}" if found else "–"


def _threshold(rows, threshold: float | None) -> str:
    """Median of the steps until half of the best gain over the prior, and how many runs got there."""
    if threshold is None:
        return "–"
    found = [steps for row in rows if (steps := steps_to(row, threshold)) is not None]
    return f"{np.median(found):.0f} ({len(found)}/{len(rows)})" if found else f"never (0/{len(rows)})"
