"""`lpds weights rollback`: go back to the best version, or to a named one."""

from lpds_ros.commands._weights import add_robot, blob_of, call

HELP = "let a running robot go back to the best version of a run, or to one of yours; its learner goes back too"


def add_arguments(parser):
    add_robot(parser, ", 0 the prior (default: the best one)")


def run(args) -> int:
    return call("rollback", args, blob_of(args.run, args.version))
