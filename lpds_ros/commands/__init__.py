"""The verbs of `lpds`, one a file (`prior train`: prior_train.py): HELP, add_arguments(parser), run(args) -> exit code.

May import everything, nodes inside functions (they load rclpy). Only verbs print; only the one asked for is imported.
"""
