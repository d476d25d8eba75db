"""`lpds weights pin`: keep one version, whatever the learner pushes."""

from lpds_ros.commands._weights import add_robot, blob_of, call

HELP = "let a running robot keep the version that runs, or one of yours, and take no push"


def add_arguments(parser):
    add_robot(parser, " (default: what runs now)")


def run(args) -> int:
    if args.version == 0:
        raise ValueError("version 0 is the prior: `lpds weights rollback --version 0`, then pin what runs")
    return call("pin", args, b"" if args.version is None else blob_of(args.run, args.version))
