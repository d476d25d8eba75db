"""What learning and prior training need of a task: sizes, horizons and an identity. No robot, no topics.

A robot's `Contract` has the same members and more; a benchmark task has these alone.
"""

from dataclasses import dataclass

from lpds_ros.config import build
from lpds_ros.contract import ContractError, Horizons
from lpds_ros.identity import digest_of, plain


@dataclass(frozen=True)
class Problem:
    """observation_size: d_o, numbers of one step's observation. action_size: d_a, numbers of one action row in [-1, 1]."""

    name: str
    observation_size: int
    action_size: int
    horizons: Horizons

    def __post_init__(self):
        if self.observation_size < 1 or self.action_size < 1:
            raise ContractError(f"problem {self.name}: observation and action need at least one number each")

    @property
    def state_size(self) -> int:
        """T_o * d_o: numbers of the stacked observation."""
        return self.horizons.observed * self.observation_size

    @property
    def noise_shape(self) -> tuple[int, int]:
        """(T_p, d_a): shape of the latent noise and of a decoded chunk."""
        return self.horizons.predicted, self.action_size

    @property
    def images(self) -> dict:
        """None: a benchmark's observation is numbers."""
        return {}

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of every field."""
        return digest_of(problem_to_dict(self))


def problem_to_dict(problem: Problem) -> dict:
    """Plain dictionary, as `problem_from_dict` reads it."""
    return plain(problem)


def problem_from_dict(tree: dict, where: str) -> Problem:
    """Rebuild a problem from its plain dictionary. Raises ConfigError naming `where` and the key."""
    return build(Problem, tree, where)
