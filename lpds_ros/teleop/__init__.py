"""Devices a person (or a script) drives the arm with, behind one interface. No ROS here.

May import contract, records, parameters and, for the scripted operator, sim.
"""
