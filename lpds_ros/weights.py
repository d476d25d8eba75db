"""Weights of the perturbation actor as one safetensors blob, checked whole before any of it is used. Numpy only."""

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lpds_ros.contract import Contract

MAX_BYTES = 64 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_LAYERS = 16  # all of them run in every tick that begins a chunk
FORMAT = "lpds-actor-1"
CONTEXTS = ("state_noise", "state")


class WeightsError(ValueError):
    """A blob that is not accepted; the text says which check failed and both values."""


@dataclass(frozen=True)
class ActorParameters:
    """One immutable version of Δ_θ.

    layers: ((W float32 [out, in], b float32 [out]), ...), ReLU between them, input concat((s - shift) / scale, ε) or the
    state alone (`context`), output T_p * d_a. radius: ‖Δ‖₂ never exceeds it. noise_scale: standard deviation of the ε that is
    steered, at most 1. version 0 is the prior: its last layer is zero.
    """

    version: int
    updates: int
    contract_digest: str
    prior_digest: str
    radius: float
    context: str
    state_shift: np.ndarray
    state_scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    noise_scale: float = 1.0

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the tensors: equal for the same function under another version."""
        found = hashlib.sha256(f"{self.context} {self.noise_scale!r}".encode())
        for array in (self.state_shift, self.state_scale, *(a for layer in self.layers for a in layer)):
            found.update(np.ascontiguousarray(array, np.float32).tobytes())
        return found.hexdigest()


def prior_parameters(contract: Contract, prior_digest: str) -> ActorParameters:
    """Version 0: Δ is zero everywhere."""
    size, noise = contract.state_size, contract.noise_shape[0] * contract.noise_shape[1]
    layer = np.zeros((noise, size), np.float32), np.zeros(noise, np.float32)
    shift, scale = np.zeros(size, np.float32), np.ones(size, np.float32)
    return ActorParameters(0, 0, contract.digest, prior_digest, 0.0, "state", shift, scale, (layer,))


def sha256(blob: bytes) -> str:
    """Hexadecimal SHA-256 of the blob."""
    return hashlib.sha256(blob).hexdigest()


def pack_weights(parameters: ActorParameters) -> bytes:
    """Serialise to safetensors; `unpack_weights` is the inverse."""
    tensors = {"state_shift": parameters.state_shift, "state_scale": parameters.state_scale}
    for i, (weight, bias) in enumerate(parameters.layers):
        tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"] = weight, bias
    metadata = {
        "format": FORMAT,
        "version": str(parameters.version),
        "updates": str(parameters.updates),
        "contract_digest": parameters.contract_digest,
        "prior_digest": parameters.prior_digest,
        "radius": repr(float(parameters.radius)),
        "noise_scale": repr(float(parameters.noise_scale)),
        "context": parameters.context,
    }
    tensors = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    return save(tensors, metadata | {"checksum": checksum(metadata, tensors)})


def checksum(metadata: dict, tensors: dict) -> str:
    """SHA-256 over every word of the metadata but itself, and every name, shape and number."""
    words = {key: value for key, value in metadata.items() if key != "checksum"}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    found = hashlib.sha256(json.dumps([words, shapes], sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(np.ascontiguousarray(tensors[name]))
    return found.hexdigest()


def read_metadata(blob: bytes) -> dict:
    """The header's own words: version, updates, digests, radius and context, as texts. Raises WeightsError."""
    if len(blob) > MAX_BYTES:
        raise WeightsError(f"weights are {len(blob)} bytes, more than the {MAX_BYTES} accepted")
    if len(blob) < 8:
        raise WeightsError(f"weights are truncated: {len(blob)} bytes")
    (size,) = struct.unpack("<Q", blob[:8])
    if size > min(MAX_HEADER_BYTES, len(blob) - 8):
        raise WeightsError(f"weights header claims {size} bytes of {len(blob) - 8}")
    try:
        header = json.loads(blob[8 : 8 + size], object_pairs_hook=_once)
        metadata = header["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WeightsError("weights are no safetensors blob with metadata; send what pack_weights made") from None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise WeightsError(f"weights format is {str(metadata)[:60]!r}, expected {FORMAT!r}")
    return metadata


def _once(pairs) -> dict:
    """The object of these pairs. Raises ValueError when a key comes twice: two readers would take two different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


def _integer(metadata: dict, key: str) -> int:
    text = metadata.get(key, "")
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,18}", text):
        raise WeightsError(f"weights {key} is {str(text)[:40]!r}, expected a whole number")
    return int(text)


def _number(metadata: dict, key: str, most: float) -> float:
    try:
        value = float(metadata.get(key, "nan"))
    except (TypeError, ValueError):
        value = float("nan")
    if not 0.0 <= value <= most:
        raise WeightsError(f"weights {key} {value} is not a number in [0, {most:g}]")
    return value


def unpack_weights(blob: bytes, *, contract: Contract, prior_digest: str, newer_than: int = -1) -> ActorParameters:
    """Check everything, then return the parameters. Raises WeightsError on the first check that fails.

    Checked: size, format, digests of contract and prior, version above `newer_than`, checksum, names, shapes, dtype, finiteness.
    """
    metadata = read_metadata(blob)
    for key, expected in (("contract_digest", contract.digest), ("prior_digest", prior_digest)):
        if metadata.get(key) != expected:
            raise WeightsError(
                f"weights were made for {key} {str(metadata.get(key))[:12]}, this run has {expected[:12]}: "
                "train the actor against this bundle and contract"
            )
    version, updates = _integer(metadata, "version"), _integer(metadata, "updates")
    if version <= newer_than:
        raise WeightsError(f"weights version {version} is not newer than {newer_than}")
    context = metadata.get("context")
    if context not in CONTEXTS:
        raise WeightsError(f"weights context {str(context)[:40]!r} is not one of {', '.join(CONTEXTS)}")
    radius, noise_scale = _number(metadata, "radius", most=1e6), _number(metadata, "noise_scale", most=1.0)
    try:
        tensors = load(blob)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"weights cannot be read: {error}") from None
    if metadata.get("checksum") != (found := checksum(metadata, tensors)):
        recorded = str(metadata.get("checksum", "nothing"))[:12]
        raise WeightsError(
            f"weights have checksum {found[:12]}, recorded is {recorded}: damaged, or of an earlier version of lpds_ros; "
            "copy them again, or learn them anew"
        )
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise WeightsError(f"tensor {name} is {tensor.dtype}, expected float32")
        if not np.isfinite(tensor).all():
            raise WeightsError(f"tensor {name} holds NaN or infinity")
    return ActorParameters(
        version=version,
        updates=updates,
        contract_digest=metadata["contract_digest"],
        prior_digest=metadata["prior_digest"],
        radius=radius,
        context=context,
        state_shift=_take(tensors, "state_shift", (contract.state_size,)),
        state_scale=_positive(_take(tensors, "state_scale", (contract.state_size,))),
        layers=_layers(tensors, contract, context),
        noise_scale=noise_scale,
    )


def _layers(tensors: dict, contract: Contract, context: str):
    size = contract.state_size + (contract.noise_shape[0] * contract.noise_shape[1] if context == "state_noise" else 0)
    layers = []
    while len(layers) < MAX_LAYERS and f"layer{len(layers)}.weight" in tensors:
        i = len(layers)
        weight = tensors[f"layer{i}.weight"]
        out = weight.shape[0] if weight.ndim == 2 else 0
        if not out:
            raise WeightsError(f"tensor layer{i}.weight has shape {weight.shape}, expected [at least 1, {size}]")
        layers.append((_take(tensors, f"layer{i}.weight", (out, size)), _take(tensors, f"layer{i}.bias", (out,))))
        size = out
    if tensors:
        raise WeightsError(f"unexpected tensor {sorted(tensors)[0]!r}")
    expected = contract.noise_shape[0] * contract.noise_shape[1]
    if not layers or size != expected:
        raise WeightsError(f"the last layer gives {size} numbers, the decoder's noise has {expected}")
    return tuple(layers)


def _take(tensors: dict, name: str, shape: tuple) -> np.ndarray:
    tensor = tensors.pop(name, None)
    if tensor is None:
        raise WeightsError(f"tensor {name!r} is missing")
    if tensor.shape != shape:
        raise WeightsError(f"tensor {name} has shape {tensor.shape}, expected {shape}")
    tensor.setflags(write=False)
    return tensor


def _positive(scale: np.ndarray) -> np.ndarray:
    if not (scale > 0).all():
        raise WeightsError("state_scale must be positive everywhere")
    return scale
