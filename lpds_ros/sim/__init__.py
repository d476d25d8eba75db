"""MuJoCo world with an FR3, its hand, a table and a cube; tasks; the 1 kHz impedance law; the scripted operator.

May import config, contract, records and resources. Never rclpy, torch, steering or learning.
"""
