"""How spread out a policy's actions are, and how far they are from the prior's: estimates from samples, numpy only.

The differential entropy is Kozachenko and Leonenko's (1987) k-nearest-neighbour estimate. No well-kept small package
offers it for vectors (scipy's is for scalars), and over a few hundred samples a distance matrix is as quick as a tree.
"""

import math

import numpy as np

FLOOR = 1e-6  # distances below are taken as this: coinciding samples (a clipped action) would make the estimate −∞


def digamma(n: int) -> float:
    """ψ(n) of a positive integer: −γ + Σ_{i<n} 1/i."""
    return -0.5772156649015329 + sum(1.0 / i for i in range(1, n))


def log_ball_volume(dimensions: int) -> float:
    """log of the volume of the unit ball."""
    return dimensions / 2 * math.log(math.pi) - math.lgamma(dimensions / 2 + 1)


def knn_entropy(samples: np.ndarray, k: int = 5) -> float:
    """Differential entropy in nats of samples [M, d]: ψ(M) − ψ(k) + log V_d + d/M Σ log ρ_k(i).

    ρ_k(i): Euclidean distance from sample i to its k-th neighbour. Biased for small M and large d: compare at equal M and k.
    Raises ValueError unless M > k.
    """
    count, dimensions = samples.shape
    if count <= k:
        raise ValueError(f"the entropy of {count} samples cannot be estimated from the {k} nearest neighbours")
    distances = pairwise(samples, samples)
    np.fill_diagonal(distances, np.inf)
    radius = np.maximum(np.partition(distances, k - 1, axis=1)[:, k - 1], FLOOR)
    return digamma(count) - digamma(k) + log_ball_volume(dimensions) + dimensions * float(np.log(radius).mean())


def energy_distance(first: np.ndarray, second: np.ndarray) -> float:
    """2 E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ of samples [M, d] and [N, d] (Székely and Rizzo 2013); 0 for equal distributions.

    Unbiased, so that it may come out a little below 0.
    """
    m, n = len(first), len(second)
    within = pairwise(first, first).sum() / (m * (m - 1)) + pairwise(second, second).sum() / (n * (n - 1))
    return float(2 * pairwise(first, second).mean() - within)


def effective_number(counts) -> float:
    """exp of the Shannon entropy of the shares: 4 for four equal modes, 1 for a single one, 0 for none."""
    counts = np.asarray(counts, float)
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def pairwise(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances float64 [M, N]."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2.0 * a @ b.T
    return np.sqrt(np.maximum(squares, 0.0))
