"""Quaternions, xyzw, float64: the few operations poses need here. Numpy only."""

import math

import numpy as np


def canonical(q: np.ndarray) -> np.ndarray:
    """The unit quaternion of the same rotation with w >= 0 (with w = 0: first non-zero component positive).

    Raises ValueError when `q` is not finite or too short to have a direction.
    """
    length = math.sqrt(float(q @ q))
    if not 1e-6 < length < 1e6:
        raise ValueError(f"a quaternion of length {length} has no direction")
    q = q / length
    sign = next(v for v in (q[3], q[0], q[1], q[2]) if v != 0.0)
    return 0.0 - q if sign < 0.0 else q


def unit_near(q: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The unit quaternion of the same rotation in the hemisphere of `other`: a sequence of them has no jump of sign.

    Raises ValueError when `q` is not finite or too short to have a direction.
    """
    length = math.sqrt(float(q @ q))
    if not 1e-6 < length < 1e6:
        raise ValueError(f"a quaternion of length {length} has no direction")
    return q / (-length if float(q @ other) < 0.0 else length)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product: rotate by b, then by a."""
    ax, ay, az, aw = a.tolist()
    bx, by, bz, bw = b.tolist()
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def conjugate(q: np.ndarray) -> np.ndarray:
    """The inverse rotation of a unit quaternion."""
    return q * np.array([-1.0, -1.0, -1.0, 1.0])


def from_rotation_vector(v: np.ndarray) -> np.ndarray:
    """Unit quaternion of the rotation vector [3], radians."""
    angle = math.sqrt(float(v @ v))
    # sin(x/2)/x by its series near zero, where the quotient loses digits
    factor = 0.5 - angle * angle / 48.0 if angle < 1e-4 else math.sin(angle / 2.0) / angle
    return np.array([*(factor * v).tolist(), math.cos(angle / 2.0)])


def to_rotation_vector(q: np.ndarray) -> np.ndarray:
    """Rotation vector [3], radians, of length at most pi, of a unit quaternion."""
    if q[3] < 0.0:
        q = -q
    sine = math.sqrt(float(q[:3] @ q[:3]))
    factor = 2.0 if sine < 1e-9 else 2.0 * math.atan2(sine, float(q[3])) / sine
    return factor * q[:3]


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Angle in radians, 0 to pi, between two unit quaternions."""
    vector = to_rotation_vector(multiply(a, conjugate(b)))
    return math.sqrt(float(vector @ vector))


def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The rotation `share` (0 to 1) of the shorter way from a to b. The ends are returned bit for bit."""
    if share <= 0.0 or np.array_equal(a, b):
        return a
    if share >= 1.0:
        return b
    turned = multiply(from_rotation_vector(share * to_rotation_vector(multiply(b, conjugate(a)))), a)
    return turned / math.sqrt(float(turned @ turned))


def rotation_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] of a unit quaternion."""
    x, y, z, w = q.tolist()
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


def from_rotation_matrix(r: np.ndarray) -> np.ndarray:
    """Canonical unit quaternion of a rotation matrix [3, 3]: the largest of four equal forms, so that none divides by nothing."""
    (a, b, c), (d, e, f), (g, h, i) = r.tolist()
    rows = (
        (1.0 + a - e - i, b + d, c + g, h - f),
        (b + d, 1.0 - a + e - i, f + h, c - g),
        (c + g, f + h, 1.0 - a - e + i, d - b),
        (h - f, c - g, d - b, 1.0 + a + e + i),
    )
    return canonical(np.array(max(rows, key=lambda row: sum(v * v for v in row))))


def pose_matrix(position: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Homogeneous transform [4, 4] of a position [3] m and a unit quaternion."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_matrix(q), position
    return matrix


def inverse_pose(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a homogeneous transform [4, 4]."""
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse


def turn_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rotation vector [3] rad from pose a to pose b, homogeneous transforms [4, 4], in a's frame."""
    return to_rotation_vector(from_rotation_matrix(a[:3, :3].T @ b[:3, :3]))
