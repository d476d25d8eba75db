"""`lpds weights list`: the versions of a run, what they are worth, and what became of them."""

from collections import Counter
from datetime import datetime

from lpds_ros.commands._weights import actor_folder, add_run
from lpds_ros.learning.store import BEST, LATEST, QUARANTINE, version_in
from lpds_ros.summary import EPISODES_FILE, read_rows
from lpds_ros.weights import WeightsError, read_metadata

HELP = "the versions of a run's weights: when, after how many updates, how its episodes ended, best, latest, quarantined"


def add_arguments(parser):
    add_run(parser)


def run(args) -> int:
    folder = actor_folder(args.run)
    ran, won = outcomes(args.run)
    marked = {name: version_in(folder / name) for name in (BEST, LATEST)}
    print(f"{'version':>7}  {'written':<19} {'updates':>8} {'episodes':>8} {'success':>7}")
    print(f"{0:>7}  {'the prior':<19} {0:>8} {ran[0]:>8} {rate(won[0], ran[0]):>7}")
    for path in sorted([*folder.glob("v*.safetensors"), *(folder / QUARANTINE).glob("v*.safetensors")], key=lambda p: p.name):
        try:
            metadata = read_metadata(path.read_bytes())
        except WeightsError as error:
            print(f"{path.stem:>7}  unreadable: {error}")
            continue
        version, written = int(metadata["version"]), datetime.fromtimestamp(path.stat().st_mtime)
        marks = [name.partition(".")[0] for name, marked_version in marked.items() if marked_version == version]
        marks += [QUARANTINE] if path.parent.name == QUARANTINE else []
        print(
            f"{version:>7}  {written:%Y-%m-%d %H:%M:%S} {metadata['updates']:>8} {ran[version]:>8} "
            f"{rate(won[version], ran[version]):>7}  {' '.join(marks)}".rstrip()
        )
    return 0


def outcomes(run) -> tuple[Counter, Counter]:
    """Episodes and successes by version: an episode counts for the version that ended it."""
    ran, won = Counter(), Counter()
    table = run / EPISODES_FILE
    for row in read_rows(table) if table.exists() else ():
        if not row.operator_ticks:
            ran[row.weights_version] += 1
            won[row.weights_version] += row.success
    return ran, won


def rate(won: int, ran: int) -> str:
    return f"{won / ran:.2f}" if ran else "–"
