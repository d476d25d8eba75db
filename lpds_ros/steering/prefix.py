"""The rows that are given to a chunk decoded ahead, so that it goes on from what runs meanwhile (real-time chunking).

Black, Galliker & Levine, "Real-Time Execution of Action Chunking Flow Policies", arXiv 2506.07339: the rows that will have run
count wholly; those that were only planned count the less the later they are, which leaves the new chunk free to follow what was
seen. Theirs are given by guidance, which needs the network's gradient at every step; ours take the place of its estimate (see
prior/sampler.py), which needs nothing.
"""

import numpy as np

from lpds_ros.contract import Contract

NO_LEARNER = "prefix: a learner decodes its targets without the rows that run, so it would learn of chunks that never do"

class PrefixError(ValueError):
    """Contract or bundle are not made for given rows; the text says what to do."""


def require_prefix(contract: Contract, taken: bool):
    """Raise PrefixError where nothing can be given. taken: whether the prior's decoder takes given rows."""
    if not contract.horizons.delay:
        raise PrefixError("prefix is for chunks decoded ahead: this contract's horizons.delay is 0, leave it out")
    if not taken:
        raise PrefixError(
            "prefix needs a decoder that takes given rows: export its checkpoint again with `lpds prior export --prefix`"
        )


def given_rows(contract: Contract, running: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(prefix [T_p, d_a], weight [T_p]) float32 from `running` [L, d_a], what is still to come of the chunk before.

    The d rows that run while the chunk is decoded have weight 1, the others of `running` a soft one, all else 0; from rest
    nothing is given.
    """
    prefix, weight = np.zeros(contract.noise_shape, np.float32), np.zeros(contract.horizons.predicted, np.float32)
    if running is None:
        return prefix, weight
    delay, known = contract.horizons.delay, len(running)
    left = (known - np.arange(delay, known)) / (known - delay + 1)
    prefix[:known], weight[:delay] = running, 1.0
    weight[delay:known] = left * np.expm1(left) / np.expm1(1.0)  # their soft mask
    return prefix, weight
