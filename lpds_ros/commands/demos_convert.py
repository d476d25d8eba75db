"""`lpds demos convert`: robomimic HDF5 to rollout log and back; the numbers stay the same."""

from pathlib import Path

from lpds_ros.commands._demos import find_contract, read_all
from lpds_ros.data.demos import HDF5_SUFFIXES, write_demos_hdf5, write_demos_log

HELP = "convert demonstrations between robomimic HDF5 and MCAP, or join several files"


def add_arguments(parser):
    parser.add_argument(
        "source", nargs="+", help=".hdf5, .mcap or run folders; of logs, what an operator drove to success"
    )
    parser.add_argument("target", type=Path, help="file to write: .hdf5 or .mcap")
    parser.add_argument("--contract", help="file or name, for sources that hold none")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")


def run(args) -> int:
    if args.target.suffix not in (*HDF5_SUFFIXES, ".mcap"):
        raise ValueError(f"{args.target}: the target must end in {', '.join(HDF5_SUFFIXES)} or .mcap")
    if args.target.exists() and not args.overwrite:
        raise ValueError(f"{args.target} exists; give --overwrite or another name")
    demos, contract = read_all(args.source, find_contract(args.contract))
    args.target.unlink(missing_ok=True)
    write = write_demos_log if args.target.suffix == ".mcap" else write_demos_hdf5
    write(args.target, demos, contract)
    print(f"{args.target}: {len(demos)} demonstrations, {sum(map(len, demos))} ticks")
    return 0
