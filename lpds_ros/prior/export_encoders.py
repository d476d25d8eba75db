"""Checkpoint to bundle: the encoders of its images, and what they make of demonstrations."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lpds_ros.durable import write_whole
from lpds_ros.prior.checkpoint import Checkpoint, load_checkpoint
from lpds_ros.prior.config import PriorError
from lpds_ros.prior.dataset import chunks
from lpds_ros.prior.encoders import encoded, open_encoder
from lpds_ros.prior.given import ENCODER, Given, encode_demos, read_given
from lpds_ros.prior.parts import export_encoder
from lpds_ros.prior.train import make_decoder


def demonstrated_states(checkpoint_directory, demonstrations) -> np.ndarray:
    """float32 [N, T_o*d_o]: every state of some demonstrations as the checkpoint's prior observes it, pictures encoded."""
    checkpoint = load_checkpoint(checkpoint_directory)
    if checkpoint.contract.images:
        given, trained = given_encoder(checkpoint_directory, checkpoint), make_decoder(checkpoint).network.encoders

        @torch.no_grad()
        def encode(stream: str, picture: np.ndarray) -> np.ndarray:
            return trained[stream](torch.from_numpy(picture)[None])[0].numpy()

        if given is not None:
            demonstrations = encode_demos(demonstrations, checkpoint.contract, given)
        else:
            demonstrations = [encoded(demo, checkpoint.contract, encode) for demo in demonstrations]
    return chunks(demonstrations, checkpoint.contract)[0]


def given_encoder(directory, checkpoint: Checkpoint) -> Given | None:
    """The frozen encoder that the prior was trained on, where it was. Raises PriorError when it is not the one kept."""
    if checkpoint.config.encoder != "given":
        return None
    file, trained_on = Path(directory) / ENCODER, checkpoint.demos["encoder"]
    given = read_given(file)
    if given.digest != trained_on:
        raise PriorError(f"{file}: sha256 {given.digest[:12]}, trained on {trained_on[:12]}: damaged")
    return given


def write_encoders(
    folder: Path, trained: nn.ModuleDict | None, given: Given | None, checkpoint: Checkpoint
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """(stream -> file written, golden pictures with the features that torch, or the given model, makes of them)."""
    files, arrays = {}, {}
    for stream, pictures in checkpoint.part("golden").items():
        if given is not None:
            files[stream], model = ENCODER, given.model
            session = open_encoder(model, "cpu", 1, ENCODER)
            features = np.concatenate([session.run(["features"], {"image": one[None]})[0] for one in pictures.numpy()])
        else:
            files[stream], model = f"{Path(ENCODER).stem}-{stream}.onnx", export_encoder(trained[stream], pictures)
            with torch.no_grad():
                features = trained[stream](pictures).numpy()
        write_whole(folder / files[stream], model)
        arrays |= {f"image_{stream}": pictures.numpy(), f"features_{stream}": features}
    return files, arrays
