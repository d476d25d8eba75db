"""`lpds weights unpin`: take pushes again."""

from lpds_ros.commands._weights import add_robot, call

HELP = "let a running robot take the learner's pushes again"


def add_arguments(parser):
    add_robot(parser)


def run(args) -> int:
    return call("unpin", args)
