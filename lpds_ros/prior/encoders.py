"""The image encoders at run time: a stream's picture to its features, on a named provider, proven on golden pictures. No torch.

An encoder is an ONNX model `image` uint8 [B, h, w, 3] (RGB, the contract's size) -> `features` float32 [B, size]; whatever
it takes to normalise the picture is inside.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.bundle import Bundle, BundleError
from lpds_ros.prior.runtime import open_model

PARITY = 1e-4  # largest difference between promised and computed features, of the largest of them (or of 1)


class EncoderSession:
    """The frozen encoders of a bundle, by stream of images; none where its contract has no images.

    provider: "cpu", "openvino", "cuda" or "tensorrt". threads: within one call. The golden pictures are encoded here: raises
    BundleError where a feature is off, ProviderError where the provider does not run here.
    """

    def __init__(self, bundle: Bundle, provider: str = "cpu", threads: int = 1):
        self.bundle, self.provider = bundle, provider
        opened = {}
        for file in dict.fromkeys(bundle.info.encoders.values()):
            opened[file] = open_encoder(bundle.read(file), provider, threads, str(bundle.path / file))
        self._sessions = {stream: opened[file] for stream, file in bundle.info.encoders.items()}
        for stream in self._sessions:
            self._replay_golden(stream)

    def encode(self, stream: str, image: np.ndarray) -> np.ndarray:
        """Features float32 [size] of the stream's picture uint8 [h, w, 3]. One at a time: the same bits live and from a log."""
        return self._sessions[stream].run(["features"], {"image": image[None]})[0][0]

    def _replay_golden(self, stream: str):
        images, features = self.bundle.golden_images(stream)
        found = np.stack([self.encode(stream, image) for image in images])
        size = self.bundle.contract.images[stream].size
        if found.shape != (len(images), size):
            raise BundleError(f"{self.bundle.path}: the encoder of stream '{stream}' gives {found.shape[1:]} numbers, not {size}")
        off, tolerance = float(np.abs(found - features).max()), PARITY * max(1.0, float(np.abs(features).max()))
        if not off <= tolerance:
            raise BundleError(
                f"{self.bundle.path / self.bundle.info.encoders[stream]}: on provider '{self.provider}' a golden picture of "
                f"stream '{stream}' is off by {off:.2e}, more than {tolerance:.0e}: "
                "try provider 'cpu', or export the bundle again"
            )


def encoded(demo: Demonstration, contract: Contract, encode: Callable[[str, np.ndarray], np.ndarray]) -> Demonstration:
    """The demonstration with the features of its pictures in the observations, and without the pictures.

    What the last action led to has no picture: the last observation stands for it. Raises DemoError where pictures are missing.
    """
    observations, slices = demo.observations.copy(), contract.feature_slices()
    for stream, feature in contract.images.items():
        observations[:, slices[feature.name]] = [encode(stream, picture) for picture in demo.pictures(stream)]
    return dataclasses.replace(demo, observations=observations, final_observation=observations[-1], images={})


def open_encoder(model: bytes, provider: str, threads: int, where: str):
    """A session of an encoder. Raises BundleError, naming `where`, when its input or output is not an encoder's."""
    session = open_model(model, provider, threads)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    taken = [(i.name, i.type, len(i.shape)) for i in inputs]
    given = [(o.name, o.type, len(o.shape)) for o in outputs]
    if taken != [("image", "tensor(uint8)", 4)] or ("features", "tensor(float)", 2) not in given:
        raise BundleError(
            f"{where}: an encoder takes image uint8 [B, h, w, 3] and gives features float32 [B, size]; "
            f"this model takes {taken} and gives {given}: see docs/images.md for how to export one"
        )
    return session
