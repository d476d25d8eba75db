"""Levenberg and Marquardt's least squares, for the few parameters of a calibration. Numpy only."""

from collections.abc import Callable

import numpy as np

STEP = 1e-6  # of the difference quotients, in radians and metres
ITERATIONS, SETTLED = 60, 1e-12


def minimise(residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters [p] near `start` with the least sum of squares of residuals(parameters) [n], and the Jacobian [n, p] there."""
    x = np.array(start, float)
    r, damping = residuals(x), 1e-4
    for _ in range(ITERATIONS):
        jacobian = differences(residuals, x)
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ r
        while True:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -gradient)
            fresh = residuals(x + step)
            gain = r @ r - fresh @ fresh
            if gain >= 0.0 or damping > 1e8:
                break
            damping *= 10.0
        if not gain > 0.0:
            break
        settled = gain <= SETTLED * (r @ r)
        x, r, damping = x + step, fresh, max(damping / 10.0, 1e-12)
        if settled:
            break
    return x, differences(residuals, x)


def differences(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Jacobian [n, p] by central differences."""
    columns = []
    for i in range(len(x)):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += STEP
        behind[i] -= STEP
        columns.append((function(ahead) - function(behind)) / (2.0 * STEP))
    return np.column_stack(columns)
