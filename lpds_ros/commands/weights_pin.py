"""`lpds weights pin`: keep one version, whatever the learner pushes."""

from lpds_ros.commands._weights import add_namespace, add_run, blob_of, call

HELP = "let a running robot keep the version that runs, or one of yours, and take no push"


def add_arguments(parser):
    add_run(parser)
    parser.add_argument("--version", type=int, help="one of `lpds weights list` (default: what runs now)")
    add_namespace(parser)


def run(args) -> int:
    if args.version == 0:
        raise ValueError("version 0 is the prior: `lpds weights rollback --version 0`, then pin what runs")
    return call("pin", args, b"" if args.version is None else blob_of(args.run, args.version))
