"""What one control tick gives: the commands, and what was learned from the tick before."""

from dataclasses import dataclass
from typing import Literal

from lpds_ros.records import Decision, Episode, Mode, Source
from lpds_ros.robot.targets import PoseTarget

__all__ = ["PoseTarget", "Tick"]


@dataclass(frozen=True)
class Tick:
    """Outcome of SteeringCore.tick. `reason` says why the mode is what it is, also when all is well.

    targets: to be published, one per sub-period; empty only before the first valid observation of an episode. source:
    who drove this tick; None when the target is held. gripper: an event, only on change. decision, episode: those
    that ended with this observation. delta_sq_mean: of the running chunk, mean over the T_p * d_a dimensions. decode_s: of the
    chunk that starts with this tick, 0.0 where none does.
    """

    stamp_ns: int
    mode: Mode
    reason: str
    source: Source | None
    targets: tuple[PoseTarget, ...]
    gripper: Literal["open", "close"] | None = None
    decision: Decision | None = None
    episode: Episode | None = None
    delta_sq_mean: float = 0.0
    decode_s: float = 0.0
