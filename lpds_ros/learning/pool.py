"""Decoded latents kept for a while: decoding is the dearest part of an update, and Φ is frozen."""

import numpy as np
import torch
from torch import Tensor, nn


class LatentPool(nn.Module):
    """Ring of what was decoded lately, (s, w, Φ(s, w)), M latents to a state. Φ is frozen: the triples stay true.

    sizes: numbers of one state, of one latent and of one executed chunk. A module, so that a checkpoint holds its buffers.
    """

    def __init__(self, capacity: int, latents: int, sizes: tuple[int, int, int]):
        super().__init__()
        for name, size in zip(("state", "latent", "action"), sizes):
            self.register_buffer(name, torch.zeros(capacity, latents, size))
        self.register_buffer("total", torch.zeros((), dtype=torch.int64))

    def fits(self, tensors: dict[str, Tensor]) -> bool:
        """Whether `tensors` are the state of a pool of this size."""
        own = self.state_dict()
        return {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in own.items()}

    def add(self, state: Tensor, latent: Tensor, action: Tensor):
        """Store S states with M latents and chunks each: [S·M, …], a state's rows one after another."""
        capacity, latents, _ = self.state.shape
        groups = len(state) // latents
        at = (self.total + torch.arange(groups)) % capacity
        for column, rows in ((self.state, state), (self.latent, latent), (self.action, action)):
            column[at] = rows.unflatten(0, (groups, latents))
        self.total += groups

    def sample(self, states: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw `states` states uniformly with replacement: their states, latents and chunks, [states·M, …] each."""
        at = torch.from_numpy(rng.integers(0, min(self.total.item(), len(self.state)), states))
        return tuple(column[at].flatten(0, 1) for column in (self.state, self.latent, self.action))


class NextActions:
    """The action decoded last for the next state of each transition of a replay, by the transition's serial number.

    An action that is drawn again is that of a slightly older actor, as a target network's would be. Not part of a
    checkpoint: after a restart they are decoded anew. Serial −1 stands for a transition of another replay, never known.
    """

    def __init__(self, capacity: int, action: int):
        self._serial = np.full(capacity, -1)
        self._action = np.zeros((capacity, action), np.float32)

    def known(self, serial: np.ndarray) -> np.ndarray:
        """bool [B]: which of the transitions have an action here."""
        return (self._serial[serial % len(self._serial)] == serial) & (serial >= 0)

    def get(self, serial: np.ndarray) -> np.ndarray:
        """Actions float32 [B, T_a·d_a] of known transitions."""
        return self._action[serial % len(self._serial)]

    def put(self, serial: np.ndarray, action: np.ndarray):
        """Keep the actions of transitions, in the place of those a whole replay older."""
        serial, action = serial[serial >= 0], action[serial >= 0]
        at = serial % len(self._serial)
        self._serial[at], self._action[at] = serial, action
