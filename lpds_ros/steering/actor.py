"""The perturbation actor Δ_θ at control rate: numpy, preallocated, bounded whatever weights arrive."""

import math

import numpy as np

from lpds_ros.weights import ActorParameters


class Actor:
    """Δ_θ(s, ε): a ReLU network on concat((s - shift) / scale, ε), then the radial projection ‖Δ‖₂ ≤ radius.

    noise_shape: (T_p, d_a). max_radius caps the radius the weights ask for. About 13 µs for 3 x 256 (batch 1); swapping
    versions is swapping the object. Not thread-safe: the hidden activations are its own.
    """

    def __init__(self, parameters: ActorParameters, noise_shape: tuple[int, int], max_radius: float = math.inf):
        self.parameters, self.version = parameters, parameters.version
        self.radius = min(parameters.radius, max_radius)
        self._shape = noise_shape
        self._shift, self._scale = parameters.state_shift, parameters.state_scale
        self._layers = parameters.layers
        self._state_size = len(parameters.state_shift)
        noise = math.prod(noise_shape) if parameters.context == "state_noise" else 0
        self._input = np.zeros(self._state_size + noise, np.float32)
        self._hidden = tuple(np.zeros(len(bias), np.float32) for _, bias in parameters.layers[:-1])
        size = len(self._input)
        for weight, bias in parameters.layers:
            if weight.shape != (len(bias), size):
                raise ValueError(f"actor layer takes {weight.shape[1]} numbers, the one before gives {size}")
            size = len(bias)
        if size != math.prod(noise_shape):
            raise ValueError(f"actor gives {size} numbers, the noise has {math.prod(noise_shape)}")

    def __call__(self, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """state float32 [T_o*d_o], noise float32 [T_p, d_a] -> Δ float32 [T_p, d_a], a fresh array.

        Not finite only where state, noise or weights are not; the caller checks.
        """
        values, size = self._input, self._state_size
        np.subtract(state, self._shift, out=values[:size])
        np.divide(values[:size], self._scale, out=values[:size])
        if len(values) > size:
            values[size:] = noise.ravel()
        for (weight, bias), hidden in zip(self._layers, self._hidden):
            np.dot(weight, values, out=hidden)
            np.add(hidden, bias, out=hidden)
            np.maximum(hidden, 0.0, out=hidden)
            values = hidden
        weight, bias = self._layers[-1]
        return project((weight @ values + bias).reshape(self._shape), self.radius)


def project(delta: np.ndarray, radius: float) -> np.ndarray:
    """Radial projection onto ‖Δ‖₂ ≤ radius; inside it the very same numbers. The bound holds after rounding to float32.

    What is not finite is returned as it is: there is no direction to keep.
    """
    length = math.sqrt(float(np.square(delta, dtype=np.float64).sum()))
    if length <= radius or not math.isfinite(length):
        return delta
    shortened = (delta * (radius / length)).astype(np.float32)
    if math.sqrt(float(np.square(shortened, dtype=np.float64).sum())) > radius:
        shortened *= np.float32(1.0 - 1e-6)
    return shortened
