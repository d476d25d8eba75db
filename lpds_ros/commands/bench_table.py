"""`lpds bench table`: result rows as Markdown."""

from pathlib import Path

from lpds_ros.commands.bench_run import ROOT

HELP = "print result rows as Markdown tables: means, bootstrap intervals, interquartile means"


def add_arguments(parser):
    parser.add_argument("--results", type=Path, default=ROOT / "results.jsonl", help=f"rows (default {ROOT}/results.jsonl)")
    parser.add_argument("--suite", nargs="+", help="only these suites")
    parser.add_argument("--out", type=Path, help="write the Markdown here instead of printing it")


def run(args) -> int:
    from lpds_ros.bench.table import markdown

    text = markdown(read_rows(args.results, args.suite))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")
        print(f"written to {args.out}")
    else:
        print(text)
    return 0


def read_rows(results: Path, suites) -> list[dict]:
    """The rows of the suites asked for. Raises BenchError when there are none."""
    from lpds_ros.bench.results import read
    from lpds_ros.bench.task import BenchError

    rows = [row for row in read(results) if not suites or row["suite"] in suites]
    if not rows:
        raise BenchError(f"{results}: no rows{' of ' + ', '.join(suites) if suites else ''}; make some with `lpds bench run`")
    return rows
