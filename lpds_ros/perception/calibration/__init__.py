"""Calibration: boards, a camera's intrinsics, where a camera sits on a robot, and the files that hold both.

May import what perception may; no rclpy, no torch. Needs OpenCV (`pip install 'lpds_ros[vision]'`).
"""
