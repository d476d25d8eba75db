"""Steers a frozen generative policy on a Franka arm and improves it while it works (LP-DS, arXiv 2606.01151).

Layers, importing only downward: commands; nodes; bringup; rollout; steering; learning; prior; robot; perception; sim;
data. The foundation (config, contract, records, weights, parameters, resources, environment, ...) is open to all.
"""
