"""Quaternions as plain (x, y, z, w) tuples of floats: at 1 kHz this is several times faster than small numpy arrays."""

import math

Quaternion = tuple[float, float, float, float]
TINY = 1e-12


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product a ⊗ b: rotate by b, then by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def difference(a: Quaternion, b: Quaternion) -> tuple[float, float, float]:
    """Rotation vector (rad, base frame) that turns orientation b into orientation a, the short way round."""
    x, y, z, w = multiply(a, (-b[0], -b[1], -b[2], b[3]))
    if w < 0.0:
        x, y, z, w = -x, -y, -z, -w
    sine = math.sqrt(x * x + y * y + z * z)
    scale = 2.0 if sine < TINY else 2.0 * math.atan2(sine, w) / sine
    return x * scale, y * scale, z * scale


def turn(orientation: Quaternion, vector: tuple[float, float, float]) -> Quaternion:
    """`orientation` turned by a rotation vector (rad, base frame); the result has unit length."""
    angle = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    scale = 0.5 if angle < TINY else math.sin(0.5 * angle) / angle
    step = (vector[0] * scale, vector[1] * scale, vector[2] * scale, math.cos(0.5 * angle))
    return normalised(multiply(step, orientation))


def normalised(q: Quaternion) -> Quaternion:
    """Unit quaternion. Raises ValueError when q has no direction (zero or not finite)."""
    length = math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + q[3] ** 2)
    if not TINY < length < math.inf:
        raise ValueError(f"quaternion {tuple(q)} has no direction")
    return q[0] / length, q[1] / length, q[2] / length, q[3] / length


def checked_target(position, orientation) -> tuple[tuple[float, float, float], Quaternion]:
    """A pose as plain floats, the quaternion normalised. Raises ValueError when anything is not finite."""
    x, y, z = (float(v) for v in position)
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        raise ValueError(f"target position {(x, y, z)} is not finite")
    return (x, y, z), normalised(tuple(float(v) for v in orientation))
