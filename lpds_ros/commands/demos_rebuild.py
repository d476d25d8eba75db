"""`lpds demos rebuild`: are the live observations and those made again of the recorded streams the same, bit for bit?"""

from collections import Counter
from pathlib import Path

from lpds_ros.commands._demos import find_contract
from lpds_ros.data.streams import streams_of
from lpds_ros.perception.rebuild import rebuild

HELP = "make the observations again from a run's recorded streams and compare them, bit for bit, with the live ones"
SHOWN = 5


def add_arguments(parser):
    parser.add_argument("recording", type=Path, help="bag of the streams node, or run folder with record_streams:=true")
    parser.add_argument("--contract", help="file or name (default: the one in the recording)")


def run(args) -> int:
    count, equal, valid, incomplete, fields = 0, 0, 0, 0, Counter()
    for each in rebuild(streams_of(args.recording), find_contract(args.contract)):
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
