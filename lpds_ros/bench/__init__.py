"""LP-DS against its baselines on the paper's suites: tasks, methods, runner, results, tables and pictures.

May import learning, prior, data and the foundation; gymnasium and simulators only inside the suites that need them.
"""
