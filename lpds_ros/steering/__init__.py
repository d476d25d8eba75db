"""What happens in one control tick: actor, chunk schedule, safety filter, mode ladder, deadlines.

May import prior.bundle and prior.session, robot, perception and the foundation; never rclpy, torch or learning.
"""
