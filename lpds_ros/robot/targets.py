"""What an arm is told: one record for each kind of command, without ROS. `apply` gives it to the simulated world."""

from dataclasses import dataclass, replace

import numpy as np

from lpds_ros.sim.trajectory import Waypoint


@dataclass(frozen=True)
class PoseTarget:
    """Absolute tool pose in the base frame: position [3] m, orientation [4] xyzw; takes effect at `stamp_ns`."""

    stamp_ns: int
    position: np.ndarray
    orientation: np.ndarray

    def apply(self, world):
        world.set_target(self.position, self.orientation)


@dataclass(frozen=True)
class JointTarget:
    """Reference of a joint impedance law: position [7] rad and velocity [7] rad/s; takes effect at `stamp_ns`."""

    stamp_ns: int
    position: np.ndarray
    velocity: np.ndarray

    def apply(self, world):
        world.set_joints(self.position, self.velocity)


@dataclass(frozen=True)
class PositionTarget:
    """Joint positions [7] rad for the position interface; takes effect at `stamp_ns`."""

    stamp_ns: int
    position: np.ndarray

    def apply(self, world):
        world.set_positions(self.position)


@dataclass(frozen=True)
class JointPath:
    """A joint trajectory that ends at rest. times_s [n], rising, since `stamp_ns`; position [n, 7] rad, velocity [n, 7] rad/s."""

    stamp_ns: int
    times_s: np.ndarray
    position: np.ndarray
    velocity: np.ndarray

    def apply(self, world):
        waypoints = [Waypoint(*point) for point in zip(self.times_s, self.position, self.velocity)]
        world.follow(waypoints, judged=False, from_desired=True)  # from the reference before: no piece begins with a lag


Target = PoseTarget | JointTarget | PositionTarget | JointPath


def at(target: Target, stamp_ns: int) -> Target:
    """The same at another time."""
    return replace(target, stamp_ns=stamp_ns)


def at_rest(target: Target) -> Target:
    """The same for when it stays, since no newer one came: a velocity would not be followed by where it leads to."""
    return replace(target, velocity=np.zeros_like(target.velocity)) if isinstance(target, JointTarget) else target
