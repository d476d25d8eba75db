"""What a training run draws its batches from: states, chunks, and the pictures that encoders are trained on."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lpds_ros.contract import Contract
from lpds_ros.prior.dataset import Normaliser, chunks
from lpds_ros.prior.vision import shifted
from lpds_ros.problem import Problem

ENCODED_AT_ONCE = 64


class Pictures:
    """The pictures of one stream of many demonstrations, one after another: uint8 [ticks, h, w, 3] in a file without a name.

    It is mapped: what is used lies in memory as long as there is room, and training's own memory does not grow with the set.
    """

    def __init__(self, demonstrations, stream: str, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)
        for demo in demonstrations:
            self._file.write(np.ascontiguousarray(demo.pictures(stream)))
        self._file.flush()
        shape = (sum(map(len, demonstrations)), *demonstrations[0].images[stream].shape[1:])
        self.array = np.memmap(self._file, np.uint8, "r", shape=shape)


class Samples:
    """Every tick of `demonstrations` as a start. states float32 [N, T_o*d_o] and chunks [N, T_p*d_a], both normalised.

    encoded: the streams whose features the network's encoders make; their columns of `states` are zero until then. folder: for
    their pictures.
    """

    def __init__(
        self, demonstrations, contract: Contract | Problem, normaliser: Normaliser, encoded: tuple[str, ...], folder: Path
    ):
        states, actions = chunks(demonstrations, contract)
        actions = normaliser.normalise_action(actions).reshape(len(actions), -1)
        self.states, self.actions = torch.from_numpy(normaliser.normalise_state(states)), torch.from_numpy(actions)
        self.pictures = {stream: Pictures(demonstrations, stream, folder) for stream in encoded}
        observed = contract.horizons.observed
        starts = np.repeat(np.cumsum([0, *map(len, demonstrations)])[:-1], [len(demo) for demo in demonstrations])
        ticks = np.arange(len(states))[:, None] + np.arange(1 - observed, 1)
        self._ticks = np.maximum(ticks, starts[:, None])  # [N, T_o], the first tick repeated as in the states
        self._columns = {stream: _columns(contract, stream) for stream in encoded}

    def __len__(self) -> int:
        return len(self.states)

    def state(self, rows: torch.Tensor, encoders: nn.ModuleDict | None, shift_px: int = 0, generator=None) -> torch.Tensor:
        """float32 [B, T_o*d_o] of these starts, with the features of their pictures, moved at random by up to shift_px."""
        states = self.states[rows]
        for stream, pictures in self.pictures.items():
            images = torch.from_numpy(pictures.array[self._ticks[rows.numpy()].ravel()])
            if shift_px:
                images = shifted(images, shift_px, generator)
            features = encoders[stream](images)
            states[:, self._columns[stream]] = features.reshape(len(rows), -1)
        return states

    @torch.no_grad()
    def all_states(self, encoders: nn.ModuleDict | None) -> torch.Tensor:
        """`state` of every start."""
        return torch.cat([self.state(rows, encoders) for rows in torch.arange(len(self)).split(ENCODED_AT_ONCE)])


def _columns(contract: Contract, stream: str) -> torch.Tensor:
    """Indices into the stacked observation of a stream's features, oldest tick first."""
    where = contract.feature_slices()[contract.images[stream].name]
    starts = contract.observation_size * torch.arange(contract.horizons.observed)
    return (starts[:, None] + torch.arange(where.start, where.stop)).ravel()
