"""`lpds weights unpin`: take pushes again."""

from lpds_ros.commands._weights import add_namespace, add_run, call

HELP = "let a running robot take the learner's pushes again"


def add_arguments(parser):
    add_run(parser)
    add_namespace(parser)


def run(args) -> int:
    return call("unpin", args)
