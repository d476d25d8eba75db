"""`lpds robot conformance`: does this robot look and behave as the stack needs it?"""

from pathlib import Path

from rich.console import Console

from lpds_ros.conformance.expected import asked_of
from lpds_ros.conformance.report import Report
from lpds_ros.contract import load_contract

HELP = "compare a running robot (real, sim or mock) with what the stack needs; reads only, unless told to move"
MOVES = ("hand", "arm")


def add_arguments(parser):
    parser.add_argument("--robot", choices=("real", "sim", "mock"), default="real", help="which one is running (default real)")
    parser.add_argument(
        "--controller", choices=("crisp", "jtc"), default="crisp", help="what is to drive the arm (default crisp)"
    )
    parser.add_argument("--contract", type=Path, metavar="FILE", help="look for this contract's streams too, cameras among them")
    parser.add_argument("--namespace", default="", help="of the robot")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to listen (default 5)")
    parser.add_argument(
        "--moves",
        nargs="+",
        choices=MOVES,
        default=[],
        help="also move: the hand opens and closes, the arm moves 10 mm (jtc: its last joint 0.05 rad) and comes back",
    )
    parser.add_argument("--homing", action="store_true", help="also home the hand, which opens and closes wholly")
    parser.add_argument("--faults", action="store_true", help="also recover from a reflex; a real arm must be in one already")
    parser.add_argument("--yes", action="store_true", help="do not ask before a real arm or hand moves")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")


def run(args) -> int:
    """Exit code 0 when nothing failed, else 1."""
    from lpds_ros.included import CONTROLLERS
    from lpds_ros.nodes.conformance_acts import Actor

    acts = {name: getattr(args, name) for name in ("moves", "homing", "faults")}
    if args.robot == "real" and any(acts.values()) and not (args.yes or _agreed()):
        raise ValueError("nothing was tried")
    asked = {name: getattr(args, name) for name in ("robot", "controller", "namespace", "seconds")} | acts
    asked["contract"] = str(args.contract or "")
    contract = load_contract(args.contract) if args.contract else None
    with Actor(args.namespace, contract) as actor:
        rows = actor.look(asked_of(args.robot, args.controller), args.seconds, CONTROLLERS[args.controller][0])
        rows += actor.act(args.robot, args.controller, **acts)
    report = Report(asked, rows)
    Console().print(report.table())
    if args.json:
        report.write(args.json)
    return report.code


def _agreed() -> bool:
    print("The real arm and hand will move: 10 mm up and back, the fingers open and close. Clear the space, hold the user stop.")
    return input("Type yes to go on: ").strip().lower() == "yes"
