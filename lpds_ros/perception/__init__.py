"""Perception: streams aligned in time into one observation per control tick, as the contract orders it.

May import contract, records and geometry; no rclpy, no torch.
"""
