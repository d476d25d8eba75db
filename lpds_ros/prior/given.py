"""A frozen encoder that somebody else trained (`lpds prior train --encoder`): one ONNX model for every stream of images."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.durable import write_whole
from lpds_ros.prior.config import PriorError
from lpds_ros.prior.encoders import encoded, open_encoder

ENCODER = "encoder.onnx"  # in a checkpoint's folder, and in the bundle made of it


@dataclass(frozen=True)
class Given:
    """The encoder's model. digest: its SHA-256."""

    model: bytes
    digest: str

    def keep(self, folder: Path):
        """Write it into a checkpoint's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ENCODER, self.model)


def read_given(path) -> Given:
    """Read an encoder. Raises PriorError when there is none."""
    path = Path(path)
    if not path.is_file():
        raise PriorError(f"{path}: no such encoder; docs/images.md says how to export one")
    model = path.read_bytes()
    return Given(model, hashlib.sha256(model).hexdigest())


def encode_demos(demonstrations, contract: Contract, encoder: Given) -> list[Demonstration]:
    """The same demonstrations with the features of their pictures in the observations, and without the pictures.

    Raises PriorError when it does not give the features that the contract asks for, BundleError when it is no encoder.
    """
    session = open_encoder(encoder.model, "cpu", 1, "--encoder")

    def encode(stream: str, picture: np.ndarray) -> np.ndarray:
        features, wanted = session.run(["features"], {"image": picture[None]})[0][0], contract.images[stream]
        if len(features) != wanted.size:
            raise PriorError(
                f"--encoder gives {len(features)} features of a picture, the contract's '{wanted.name}' has size {wanted.size}: "
                "change the contract, or project the features in the model"
            )
        return features

    return [encoded(demo, contract, encode) for demo in demonstrations]
