"""Demonstration files and the rollout log: what is kept on disk of what the robot did.

May import contract, config, records and resources; knows nothing of rclpy or torch.
"""
