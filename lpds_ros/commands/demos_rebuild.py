"""`lpds demos rebuild`: are the live observations and those made again of the recorded streams the same, bit for bit?"""

from collections import Counter
from pathlib import Path

from lpds_ros.commands._demos import find_contract
from lpds_ros.config import read_yaml
from lpds_ros.data.streams import streams_of
from lpds_ros.perception.feed import Encode
from lpds_ros.perception.rebuild import rebuild
from lpds_ros.run_folder import NODES

HELP = "make the observations again from a run's recorded streams and compare them, bit for bit, with the live ones"
SHOWN = 5


def add_arguments(parser):
    parser.add_argument("recording", type=Path, help="bag of the streams node, or run folder with record_streams:=true")
    parser.add_argument("--contract", help="file or name (default: the one in the recording)")
    parser.add_argument("--bundle", type=Path, help="the prior whose encoders saw the images (default: the run's own)")
    parser.add_argument("--provider", help="where they run (default: as in the run, else cpu); another may round otherwise")


def run(args) -> int:
    count, equal, valid, incomplete, fields = 0, 0, 0, 0, Counter()
    for each in rebuild(streams_of(args.recording), find_contract(args.contract), encoders(args)):
        count += 1
        valid += each.live.valid
        incomplete += bool(each.missing)
        equal += not each.missing and not each.differences
        fields.update(each.differences)
        if (each.missing or each.differences) and count - equal <= SHOWN:
            lacks = f"the recording lacks its samples of {', '.join(each.missing)}" if each.missing else ""
            print(f"  at {each.live.stamp_ns / 1e9:.3f} s: {lacks or ', '.join(each.differences) + ' differ'}")
    print(f"{count} observations, {valid} valid: {equal} equal bit for bit, {incomplete} with samples that were not recorded")
    for name, times in fields.most_common():
        print(f"  {name}: differs in {times}")
    return int(not count or equal < count)


def encoders(args) -> Encode | None:
    """Those of --bundle, or of the run's perception node; None where it had none. Raises ConfigError, BundleError."""
    written = args.recording / NODES / "perception.yaml"
    parameters = read_yaml(written)["/**"]["ros__parameters"] if written.is_file() else {}
    bundle = args.bundle or parameters.get("bundle")
    if not bundle:
        return None
    from lpds_ros.prior.bundle import load_bundle
    from lpds_ros.prior.encoders import EncoderSession

    return EncoderSession(load_bundle(bundle), args.provider or parameters.get("encoder_provider", "cpu")).encode
