"""`lpds replay`: what the flight recorder kept of the seconds before a HOLD, STOP or FAULT, and all of it computed again."""

from pathlib import Path

from lpds_ros.commands._flight_text import head, table, whole
from lpds_ros.prior.bundle import MANIFEST, Bundle, BundleError, load_bundle
from lpds_ros.prior.session import DecoderSession
from lpds_ros.resources import roots
from lpds_ros.steering.flight import Recording
from lpds_ros.steering.flight_check import check_all, chunks_of
from lpds_ros.steering.flight_file import Circumstances, FlightError, read_flight
from lpds_ros.steering.flight_writer import SUFFIX

HELP = "look at the seconds before the arm stopped, and compute them again bit for bit: lpds replay runs/latest"
BEFORE, AFTER = 12, 3
SHOWN = 5  # differences of one stage


def add_arguments(parser):
    parser.add_argument("file", type=Path, help="a recording, or a run folder: the newest of its flight/")
    parser.add_argument("--bundle", type=Path, help="the prior's bundle (default: where it was, else models/*, by its digest)")
    parser.add_argument("--provider", help="where to decode (default: as it was); another may round otherwise")
    parser.add_argument("--ticks", type=int, default=BEFORE, help=f"ticks before the event in the table (default {BEFORE})")
    look = parser.add_mutually_exclusive_group()
    look.add_argument("--tick", type=int, help="show this tick whole")
    look.add_argument("--step", action="store_true", help="tick by tick: Enter for the next, q to end")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw it")


def run(args) -> int:
    path = newest(args.file)
    recording, around, time = read_flight(path)
    print(path)
    print("\n".join(head(recording, around, time)))
    last = len(recording.entries) - 1
    if args.tick is not None:
        if not 0 <= args.tick <= last:
            raise ValueError(f"--tick {args.tick}: the recording has ticks 0 to {last}")
        print("\n".join(whole(recording, args.tick)))
    elif args.step:
        step(recording, max(0, recording.event - args.ticks))
    else:
        print("\n".join(table(recording, max(0, recording.event - args.ticks), min(last, recording.event + AFTER))))
    if args.plot is not None:
        draw(recording, around, args.plot)
    return verify(recording, around, args)


def newest(path: Path) -> Path:
    """The file itself, or the newest recording of a run folder or its flight folder. Raises FlightError."""
    if not path.is_dir():
        return path
    found = sorted([*path.glob(f"*{SUFFIX}"), *path.glob(f"flight/*{SUFFIX}")], key=lambda file: file.name)
    if not found:
        raise FlightError(f"{path}: no recording (*{SUFFIX}) here or in its flight/: the arm was not stopped or held in it")
    return found[-1]


def step(recording: Recording, first: int):
    """One tick after the other, each when asked for."""
    for i in range(first, len(recording.entries)):
        print("\n".join(whole(recording, i)))
        try:
            if input("Enter: the next, q: end > ").strip() == "q":
                return
        except EOFError:
            return


def draw(recording: Recording, around: Circumstances, path: Path):
    """Write the picture."""
    from lpds_ros.commands._flight_picture import draw_flight  # matplotlib is for those who want a picture

    came_down = recording.came_down
    draw_flight(recording, path, period_s=around.contract.period_s, title=f"{came_down.mode.name}: {came_down.reason}")
    print(f"drawn into {path}")


def verify(recording: Recording, around: Circumstances, args) -> int:
    """Compute it all again and say what came out; 0 when all of it was the same."""
    decoder, missing = None, ""
    if chunks_of(recording):
        bundle = find_bundle(around, args.bundle)
        if bundle is None:
            missing = f"no bundle of digest {around.digest[:12]} is here: give its folder with --bundle"
        else:
            decoder = decoder_of(bundle, around, args.provider)
    checks = check_all(recording, around, decoder)
    print("computed again:")
    for check in checks:
        print(f"  {check.what:17} {check.equal} of {check.of} equal bit for bit")
        for line in check.differences[:SHOWN]:
            print(f"    {line}")
        if len(check.differences) > SHOWN:
            print(f"    and {len(check.differences) - SHOWN} more")
    if missing:
        print(f"  decoded chunks    not decoded: {missing}")
    return int(bool(missing) or any(check.differences for check in checks))


def find_bundle(around: Circumstances, given: Path | None) -> Bundle | None:
    """The bundle that drove. Raises BundleError when the given one is another."""
    if given is not None:
        bundle = load_bundle(given)
        if bundle.digest != around.digest:
            raise BundleError(
                f"{given} has digest {bundle.digest[:12]}, the recording was made with {around.digest[:12]}: give that one"
            )
        return bundle
    for folder in [Path(around.bundle), *(file.parent for root in roots() for file in root.glob(f"models/*/{MANIFEST}"))]:
        try:
            bundle = load_bundle(folder)
        except ValueError:
            continue  # moved away, or damaged: another may be whole
        if bundle.digest == around.digest:
            return bundle
    return None


def decoder_of(bundle: Bundle, around: Circumstances, provider: str | None) -> DecoderSession:
    """Opened as it was, but for `provider`."""
    batch = around.params.noises(around.contract.horizons.delay)
    return DecoderSession(bundle, provider or around.provider, around.threads, variant=around.variant, batch=batch)
