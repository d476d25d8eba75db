"""`lpds demos convert`: between robomimic HDF5, rollout log and LeRobotDataset; the numbers stay the same."""

from pathlib import Path

from lpds_ros.commands._demos import SOURCES, add_mapping, find_contract, read_all
from lpds_ros.data.demos import HDF5_SUFFIXES, write_demos_hdf5, write_demos_log

HELP = "convert demonstrations between robomimic HDF5, MCAP and LeRobot, or join several files"
FORMATS = ("hdf5", "mcap", "lerobot")


def add_arguments(parser):
    parser.add_argument("source", nargs="+", help=f"{SOURCES}; of logs, what an operator drove to success")
    parser.add_argument("target", type=Path, help="what to write: .hdf5, .mcap, or a folder with --to lerobot")
    parser.add_argument("--to", choices=FORMATS, help="format of the target (default: by its name)")
    parser.add_argument("--contract", help="file or name, for sources that hold none")
    add_mapping(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")


def run(args) -> int:
    write = writer(args.target, args.to)
    if args.target.exists() and not args.overwrite:
        raise ValueError(f"{args.target} exists; give --overwrite or another name")
    demos, contract = read_all(args.source, find_contract(args.contract), mapping=args.mapping, mask=args.mask)
    write(args.target, demos, contract)
    print(f"{args.target}: {len(demos)} demonstrations, {sum(map(len, demos))} ticks")
    return 0


def writer(target: Path, form: str | None):
    """What writes this target. Raises ValueError where name and format do not fit."""
    suffixes = {"hdf5": HDF5_SUFFIXES, "mcap": (".mcap",), "lerobot": ("",)}
    form = form or next((name for name in ("hdf5", "mcap") if target.suffix in suffixes[name]), None)
    if form is None or target.suffix not in suffixes[form]:
        raise ValueError(
            f"{target}: the target must end in {', '.join(HDF5_SUFFIXES)} or .mcap, or be a folder with --to lerobot"
        )
    if form == "lerobot":
        from lpds_ros.data.lerobot import is_lerobot
        from lpds_ros.data.lerobot_write import write_lerobot

        if target.exists() and not is_lerobot(target):
            raise ValueError(f"{target} exists and is no LeRobotDataset; name another folder")
        return write_lerobot
    return write_demos_log if form == "mcap" else write_demos_hdf5
