"""What one tick did, in a form that can be done again: the flight recorder's raw material. References only, nothing is copied."""

from typing import NamedTuple

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.records import Observation
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.schedule import Chunk
from lpds_ros.steering.target import Target

Pose = tuple[np.ndarray, np.ndarray]  # position [3] m and orientation [4] xyzw
Memory = tuple[tuple[int, int], Pose | None, Pose]  # Cuts.streaks, Following.seen and .asked


class Moves(NamedTuple):
    """What was done to the commanded pose.

    before: the pose commanded until then, last: where the tick before had ended; None while nothing is commanded. seeded:
    taken over from the measured pose, first of all. row: float32 [d_a] that was asked for, None where nothing was. sent: the
    same after the safety filter, None where that refused it. holds: how often the pose was then made this tick's end. memory:
    what the filter knew of the ticks before.
    """

    before: Pose | None
    last: Pose | None
    seeded: bool
    row: np.ndarray | None
    sent: np.ndarray | None
    holds: int
    memory: Memory


class Trace(NamedTuple):
    """One tick from the inside. chunk: the policy's running one, which started at its row `first`; None where none runs.

    version: of the weights in use. episode, seed, ticks: the running or last episode, its seed, its ticks so far.
    """

    moves: Moves
    chunk: Chunk | None
    first: int
    version: int
    episode: int
    seed: int
    ticks: int


class TracedTarget(Target):
    """A Target that keeps account of what is done to it, until `take`."""

    def __init__(self, contract: Contract, params: SteeringParams):
        self._holds = 0
        super().__init__(contract, params)

    def take(self) -> Moves:
        """What has been done since the last `take`."""
        moves = Moves(*self._before, self._seeded, self._row, self._sent, self._holds, self._memory)
        self._note()
        return moves

    def restore(self, moves: Moves):
        """Go on from where a recorded tick began."""
        self.clear()
        self._pose, self._last = moves.before, moves.last
        self.cuts.streaks, self.following.seen, self.following.asked = moves.memory
        self._note()

    def _note(self):
        self._before = self._pose, self._last
        self._memory = self.cuts.streaks, self.following.seen, self.following.asked
        self._seeded, self._row, self._sent, self._holds = False, None, None, 0

    def clear(self):
        super().clear()
        self._note()

    def seed(self, *measured: np.ndarray):
        self._seeded = True
        super().seed(*measured)

    def advance(self, row: np.ndarray, *measured: np.ndarray) -> np.ndarray:
        self._row = row
        self._sent = super().advance(row, *measured)
        return self._sent

    def hold(self):
        self._holds += 1
        super().hold()


def repeat(target: TracedTarget, moves: Moves, seen: Observation) -> Moves:
    """Do the same to `target` at the same observation; what came of it."""
    if moves.seeded:
        target.seed(seen.position, seen.orientation)
    if moves.row is not None:
        try:
            target.advance(moves.row, seen.position, seen.orientation, seen.joints)
        except ValueError:
            pass  # refused here too: `sent` says so
    while target._holds < moves.holds:  # `advance` holds by itself
        target.hold()
    return target.take()
