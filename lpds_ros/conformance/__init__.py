"""What a Franka must look like on the wire for this stack to drive it, and how what was seen is judged.

May import robot, perception, sim and the foundation; never rclpy: nodes/conformance_*.py look and act, this judges.
"""
