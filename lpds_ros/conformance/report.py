"""The report of a conformance run: a table for a person, JSON for the next person, an exit code."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from lpds_ros.conformance.judge import Row, Verdict

COLOURS = {Verdict.OK: "green", Verdict.DIFFERS: "yellow", Verdict.FAILED: "red", Verdict.NOT_TRIED: "dim"}


@dataclass(frozen=True)
class Report:
    """What was asked (robot, controller, moves, …), and every row."""

    asked: dict
    rows: Sequence[Row]

    @property
    def code(self) -> int:
        """0 when nothing failed, else 1."""
        return int(any(row.verdict is Verdict.FAILED for row in self.rows))

    def table(self) -> Table:
        """The rows, what failed in red."""
        table = Table("", "what", "of", "found", title=self.title(), title_justify="left")
        for row in self.rows:
            table.add_row(f"[{COLOURS[row.verdict]}]{row.verdict}[/]", row.subject, row.of, row.text)
        return table

    def title(self) -> str:
        """Counts by verdict."""
        counts = Counter(row.verdict for row in self.rows)
        return f"robot:={self.asked['robot']}: " + ", ".join(f"{counts[v]} {v}" for v in Verdict if counts[v])

    def write(self, path: Path):
        """As JSON."""
        tree = {"asked": self.asked, "rows": [asdict(row) for row in self.rows], "failed": self.code}
        path.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")
