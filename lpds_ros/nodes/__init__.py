"""ROS shells, one file a node: parameters in, messages to records, a core called, records to messages out.

May import everything but commands and faults; only those two import nodes. Here alone is rclpy imported.
"""
