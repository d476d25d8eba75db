"""Perception: streams aligned in time into one observation per control tick, as the contract orders it; cameras' calibration.

May import contract, records, geometry and what reads and writes files; no rclpy, no torch.
"""
