"""Bookkeeping: which ticks belong to which decision, and decisions to which episode. Nothing here commands anything."""

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.records import Decision, Episode, Source
from lpds_ros.steering.schedule import Chunk


class OpenDecision:
    """A decision while it runs. state: float32 [T_o*d_o] it was decided at; noise, delta, chunk as in Decision."""

    def __init__(
        self, contract: Contract, *, stamp_ns, source: Source, version: int, state, noise, delta, chunk, decode_s=0.0
    ):
        self.source, self.ticks = source, 0
        self._observed = 0  # ticks whose outcome a valid observation has shown
        self._contract, self._stamp_ns, self._version, self._state = contract, stamp_ns, version, state
        self._noise, self._delta, self._chunk, self._decode_s = noise, delta, chunk, decode_s
        shape = (contract.horizons.executed, contract.action.size)
        self._executed, self._sent = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._rewards = np.zeros(shape[0], np.float32)
        self._seen = np.zeros((shape[0], contract.observation_size), np.float32)

    @classmethod
    def of_chunk(cls, contract: Contract, stamp_ns: int, state: np.ndarray, chunk: Chunk, first: int) -> "OpenDecision":
        """A decision for `chunk`, decoded from `state` as of `stamp_ns`; `first` is its first row to run."""
        return cls(
            contract,
            stamp_ns=stamp_ns,
            source=chunk.source,
            version=chunk.version,
            state=state,
            noise=chunk.noise,
            delta=chunk.delta,
            chunk=chunk.rows[first:],
            decode_s=chunk.decode_s,
        )

    @classmethod
    def of_operator(cls, contract: Contract, stamp_ns: int, state: np.ndarray, version: int) -> "OpenDecision":
        """A decision that the operator makes tick by tick; `version` is that of the weights in use meanwhile."""
        latent = dict.fromkeys(("noise", "delta", "chunk"), np.zeros((0, contract.action.size), np.float32))
        return cls(contract, stamp_ns=stamp_ns, source=Source.OPERATOR, version=version, state=state, **latent)

    @property
    def complete(self) -> bool:
        """Whether T_a ticks have run."""
        return self.ticks == len(self._executed)

    def row(self) -> np.ndarray:
        """The chunk's row for the next tick, float32 [d_a]."""
        return self._chunk[self.ticks]

    def rest(self) -> np.ndarray:
        """The rows of the chunk that are to run after this tick, float32 [n, d_a]."""
        return self._chunk[self.ticks : len(self._executed)]

    def executed(self, asked: np.ndarray, sent: np.ndarray, seen: np.ndarray):
        """One tick was commanded at the observation `seen` [d_o]."""
        self._executed[self.ticks], self._sent[self.ticks], self._seen[self.ticks] = asked, sent, seen
        self.ticks += 1

    def rewarded(self, reward: float, valid: bool):
        """The next observation came in, with the reward of the last tick; its data can be used when `valid`."""
        if self.ticks:
            self._rewards[self.ticks - 1] += reward
            self._observed = self.ticks if valid else self._observed

    def finish(self, next_state, *, terminated: bool, truncated: bool) -> dict | None:
        """Fields of the Decision, or None when nothing of it can be learned from.

        Ticks whose outcome was not seen are cut off, except before a terminal state, which is not bootstrapped from.
        """
        ticks = self.ticks if terminated else self._observed
        if not ticks:
            return None
        for rows in (self._executed, self._sent, self._rewards):
            rows[ticks:] = 0.0
        return {
            "stamp_ns": self._stamp_ns,
            "source": self.source,
            "weights_version": self._version,
            "observation": self._state,
            "noise": self._noise,
            "delta": self._delta,
            "chunk": self._chunk,
            "executed": self._executed,
            "sent": self._sent,
            "rewards": self._rewards,
            "ticks": ticks,
            "tick_observations": self._seen[:ticks],
            "next_observation": next_state,
            "terminated": terminated,
            "truncated": truncated,
            "decode_s": self._decode_s,
        }


class Accounts:
    """Numbers decisions through the session and sums up the running episode. Ids grow by one and never repeat."""

    def __init__(self, contract: Contract, session: str, prior_digest: str):
        self._contract_digest, self._session, self._prior_digest = contract.digest, session, prior_digest
        self._next_id = 0
        self.episode, self.seed, self.running = 0, 0, False
        self.ticks = self.operator_ticks = self._decisions = 0
        self._return = 0.0

    def begin(self, episode: int, seed: int):
        """Start the books of an episode."""
        self.episode, self.seed, self.running = episode, seed, True
        self.ticks = self.operator_ticks = self._decisions = 0
        self._return = 0.0

    def reward(self, reward: float):
        """Add to the running episode's return."""
        self._return += reward

    def decision(self, fields: dict) -> Decision:
        """Number a finished decision."""
        decision = Decision(
            session=self._session,
            decision_id=self._next_id,
            episode=self.episode,
            index=self._decisions,
            contract_digest=self._contract_digest,
            prior_digest=self._prior_digest,
            **fields,
        )
        self._next_id += 1
        self._decisions += 1
        return decision

    def end(self, stamp_ns: int, success: bool, reason: str, version: int) -> Episode:
        """Close the episode's books."""
        self.running = False
        return Episode(
            session=self._session,
            episode=self.episode,
            seed=self.seed,
            stamp_ns=stamp_ns,
            success=success,
            episode_return=self._return,
            ticks=self.ticks,
            decisions=self._decisions,
            reason=reason,
            weights_version=version,
            operator_ticks=self.operator_ticks,
            contract_digest=self._contract_digest,
        )
