"""The Franka arm: command modes, limits, gripper, recovery, as pure functions and state machines.

May import perception, sim, data and the foundation; never rclpy or torch.
"""
