"""`lpds weights rollback`: go back to the best version, or to a named one."""

from lpds_ros.commands._weights import add_namespace, add_run, blob_of, call

HELP = "let a running robot go back to the best version of a run, or to one of yours; its learner goes back too"


def add_arguments(parser):
    add_run(parser)
    parser.add_argument("--version", type=int, help="one of `lpds weights list`, 0 the prior (default: the best one)")
    add_namespace(parser)


def run(args) -> int:
    return call("rollback", args, blob_of(args.run, args.version))
