"""`lpds prior eval`: success of a frozen prior over fixed seeds."""

from lpds_ros.commands import eval as evaluation

HELP = "run the frozen prior over fixed seeds in simulation"


def add_arguments(parser):
    parser.add_argument("--bundle", help="bundle directory, or a name under models/ (default: the task's)")
    evaluation.add_common_arguments(parser)


def run(args) -> int:
    args.actor = "none"
    return evaluation.run(args)
