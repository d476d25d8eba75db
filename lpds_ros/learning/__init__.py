"""LP-DS: networks, critics, dual, replay, update, checkpoint.

May import prior, data and the foundation; torch yes, rclpy never.
"""
