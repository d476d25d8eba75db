"""Replay of decisions: fixed arrays, uniform sampling, each decision once (by id, not by count)."""

from dataclasses import dataclass

import numpy as np
import torch

from lpds_ros.contract import Contract
from lpds_ros.problem import Problem
from lpds_ros.records import Decision, Source

COLUMNS = ("state", "action", "reward", "bootstrap", "next_state", "following")


@dataclass(frozen=True)
class Batch:
    """One minibatch. state, next_state [B, T_o·d_o] (raw units), action [B, T_a·d_a], reward, bootstrap [B].

    A return of m decisions, m = 1 unless more were asked for: reward is Σ γ^i r_i of them, next_state is what the last of
    them reached, bootstrap is γ^(m−1), or 0 where nothing follows. serial: int64 [B], the last one's running number in its
    replay.
    """

    state: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    bootstrap: torch.Tensor
    next_state: torch.Tensor
    serial: torch.Tensor


@dataclass(frozen=True)
class Transitions:
    """N decisions at once, without identity: what vectorised environments make.

    state, next_state: float32 [N, T_o·d_o], raw units. action: float32 [N, T_a·d_a], the whole chunk as it was asked for.
    reward: [N], summed over the steps run. terminated, truncated: bool [N].
    """

    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_state: np.ndarray


class Replay:
    """Ring of transitions. `size` counts what is stored, `total` what was ever accepted.

    action_size: numbers of one stored action; T_a·d_a when None. reward_offset: added to every decision's reward.
    """

    def __init__(
        self,
        contract: Contract | Problem,
        capacity: int,
        *,
        timeout_terminates: bool = False,
        reward_offset: float = 0.0,
        action_size: int | None = None,
    ):
        state = contract.state_size
        action = action_size or contract.horizons.executed * contract.action_size
        self._contract, self._timeout_terminates, self._reward_offset = contract, timeout_terminates, reward_offset
        self._state = np.zeros((capacity, state), np.float32)
        self._next_state = np.zeros((capacity, state), np.float32)
        self._action = np.zeros((capacity, action), np.float32)
        self._reward = np.zeros(capacity, np.float32)
        self._bootstrap = np.zeros(capacity, np.float32)
        self._following = np.full(capacity, -1)  # serial of the decision after it in its episode, −1 while there is none
        self._latest: dict[str, tuple[int, int, int]] = {}  # session → episode, index and serial of its last decision
        self._lanes = np.zeros(0, np.int64)  # serials of the last batch, −1 where an episode ended
        self._seen: set[tuple[str, int]] = set()
        self.capacity, self.size, self.total = capacity, 0, 0

    @property
    def action_size(self) -> int:
        """Numbers of one stored action."""
        return self._action.shape[1]

    @property
    def keys(self) -> frozenset[tuple[str, int]]:
        """The ids of every decision that was ever added."""
        return frozenset(self._seen)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._seen

    def add(self, decision: Decision) -> bool:
        """Store one decision. False if this id is known. Raises ValueError if it does not fit or is not finite."""
        if decision.key in self._seen:
            return False
        fields = {
            "observation": (decision.observation, self._state.shape[1]),
            "next_observation": (decision.next_observation, self._next_state.shape[1]),
            "executed": (decision.executed, self._action.shape[1]),
        }
        for name, (array, size) in fields.items():
            if array.size != size:
                raise ValueError(
                    f"decision {decision.key}: {name} has {array.size} numbers, the contract asks for {size}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"decision {decision.key}: {name} is not finite")
        reward = float(np.sum(decision.rewards))
        if not np.isfinite(reward):
            raise ValueError(f"decision {decision.key}: reward is not finite")
        i = self.total % self.capacity
        self._state[i] = decision.observation
        self._next_state[i] = decision.next_observation
        self._action[i] = self._whole_chunk(decision).ravel()
        self._reward[i] = reward + self._reward_offset
        self._following[i] = -1
        done = decision.terminated or (decision.truncated and self._timeout_terminates)
        self._bootstrap[i] = 0.0 if done else 1.0
        self._seen.add(decision.key)
        self.total += 1
        self.size = min(self.total, self.capacity)
        before = self._latest.get(decision.session)
        self._latest[decision.session] = decision.episode, decision.index, self.total - 1
        # A return does not run on into an operator's actions: they are worth more than what the policy does there.
        if before and before[:2] == (decision.episode, decision.index - 1) and decision.source != Source.OPERATOR:
            self._link(np.array([before[2]]), np.array([self.total - 1]))
        return True

    def extend(self, transitions: Transitions):
        """Store the decisions of N worlds side by side: each goes on from its row of the last call, where that ended no episode.

        Raises ValueError, and stores none, if one does not fit or is not finite.
        """
        t, capacity = transitions, self.capacity
        stop = t.terminated | (t.truncated & self._timeout_terminates)
        rows = (self.total + np.arange(len(t.reward))) % capacity
        fields = (
            ("state", self._state, t.state),
            ("action", self._action, t.action),
            ("reward", self._reward, t.reward + self._reward_offset),
            ("terminated", self._bootstrap, 1.0 - stop),
            ("next_state", self._next_state, t.next_state),
        )
        for name, column, array in fields:
            if array.shape != (len(rows), *column.shape[1:]):
                raise ValueError(f"{name} has shape {array.shape}, expected {(len(rows), *column.shape[1:])}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite")
        for _, column, array in fields:
            column[rows[-capacity:]] = array[-capacity:]
        self._following[rows] = -1
        serials = self.total + np.arange(len(rows))
        self.total += len(rows)
        self.size = min(self.total, capacity)
        if len(self._lanes) == len(rows):
            self._link(self._lanes, serials)
        self._lanes = np.where(t.terminated | t.truncated, -1, serials)

    def _link(self, before: np.ndarray, after: np.ndarray):
        """The decisions numbered `after` go on from those numbered `before` (−1: from none)."""
        known = before >= max(0, self.total - self.capacity)
        self._following[before[known] % self.capacity] = after[known]

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored, in the order of the ring; `restore` is the inverse. Keys of single decisions are not kept."""
        return {name: getattr(self, f"_{name}")[: self.size] for name in COLUMNS} | {"total": np.int64(self.total)}

    def restore(self, arrays):
        """Put back what `arrays` gave, into a replay of the same capacity. Raises ValueError when it does not fit."""
        size = len(arrays["reward"])
        if size != min(int(arrays["total"]), self.capacity):
            raise ValueError(f"a replay of {size} transitions, {int(arrays['total'])} in all, is not of this capacity")
        for name in COLUMNS:
            getattr(self, f"_{name}")[:size] = arrays[name]
        self.size, self.total = size, int(arrays["total"])

    def _whole_chunk(self, decision: Decision) -> np.ndarray:
        """[T_a, d_a]: the action as Q^A will be asked about it, whole also where the episode ended in its middle.

        Chunks are decoded whole. A success seen only with its unexecuted rows missing would be a value of chunks that the
        decoder never makes. An operator's last row is repeated, as it is in the prior's training.
        """
        if decision.chunk.size:
            return decision.chunk[: self._contract.horizons.executed]
        rows = decision.executed.copy()
        rows[decision.ticks :] = rows[max(0, decision.ticks - 1)]
        return rows

    def sample(self, count: int, rng: np.random.Generator, steps: int = 1, gamma: float = 1.0) -> Batch:
        """Draw `count` decisions uniformly with replacement, each with the return of up to `steps` from it on."""
        first = rng.integers(0, self.size, count)
        last, reward, discount = first, self._reward[first], np.ones(count, np.float32)
        for _ in range(steps - 1):
            following = self._following[last]
            goes_on = following >= 0
            last = np.where(goes_on, following % self.capacity, last)
            discount = np.where(goes_on, np.float32(gamma) * discount, discount)
            reward += np.where(goes_on, discount * self._reward[last], np.float32(0))
        serial = self.total - 1 - (self.total - 1 - last) % self.capacity
        bootstrap = discount * self._bootstrap[last]
        arrays = (self._state[first], self._action[first], reward, bootstrap, self._next_state[last], serial)
        return Batch(*map(torch.from_numpy, arrays))


def join(first: Batch, second: Batch) -> Batch:
    """Concatenate two minibatches."""
    return Batch(*(torch.cat([getattr(first, f), getattr(second, f)]) for f in Batch.__dataclass_fields__))
