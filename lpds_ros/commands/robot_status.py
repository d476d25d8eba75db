"""`lpds robot status`: is the arm ready to be moved, and if not, what is missing."""

from lpds_ros.commands._robot import add_robot
from lpds_ros.robot.status import ready

HELP = "mode, errors, component, controllers, rates, who commands; exit code 0 only if the arm is ready to be moved"
WIDTH = 130  # of a terminal that does not say its own, and of lines that are to be read whole


def add_arguments(parser):
    add_robot(parser)


def run(args) -> int:
    from rich.console import Console
    from rich.table import Table

    from lpds_ros.nodes.robot_look import look

    found = look(args.namespace, args.hardware)
    table = Table(show_header=False)
    for row in found:
        mark = {True: "[green]ok", False: "[red]no", None: ""}[row.ok]
        table.add_row(mark, row.name, row.value, row.hint if row.ok is False else "")
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)
    console.print("ready to be moved" if ready(found) else "not ready to be moved")
    return 0 if ready(found) else 1
