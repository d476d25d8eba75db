"""Checkpoint to bundle: the whole sampler as one ONNX graph, checked against torch before it gets its name."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save

from lpds_ros.contract import Contract, contract_to_dict
from lpds_ros.durable import replaced_folder, write_arrays, write_whole
from lpds_ros.prior.bundle import (
    DECODER,
    GOLDEN,
    MANIFEST,
    PARITY,
    SCHEMA,
    WEIGHTS,
    Bundle,
    BundleError,
    FileEntry,
    Manifest,
    SamplerInfo,
    TrainingInfo,
    load_bundle,
)
from lpds_ros.prior.checkpoint import Checkpoint, load_checkpoint
from lpds_ros.prior.config import PriorError
from lpds_ros.prior.sampler import Decoder, time_steps
from lpds_ros.prior.session import DecoderSession
from lpds_ros.prior.train import make_decoder

OPSET = 20
GOLDEN_BATCHES = (1, 8)
PARITY_CASES = 256  # states and noises compared beside the golden ones


def export(
    checkpoint_directory, out, *, name: str = "", licence: str = "Apache-2.0", overwrite: bool = False, delay: int | None = None
) -> Bundle:
    """Write the bundle `out` from a checkpoint and return it, loaded and verified. delay: ticks, None: the contract's own.

    Raises PriorError when `out` exists (and not `overwrite`) or the graph differs from torch by more than 1e-4 in
    action units on any of 256 cases; then nothing is left behind and an earlier bundle stays as it was.
    """
    checkpoint, out = load_checkpoint(checkpoint_directory), Path(out)
    if not isinstance(checkpoint.contract, Contract):
        raise PriorError(f"{checkpoint_directory}: a benchmark's prior; a bundle needs a robot's contract")
    if out.exists() and not overwrite:
        raise PriorError(f"{out} exists: remove it, or ask to overwrite it")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise PriorError(f"{out} exists and is no bundle: choose another place")
    if delay is not None:
        horizons = dataclasses.replace(checkpoint.contract.horizons, delay=delay)
        checkpoint = dataclasses.replace(checkpoint, contract=dataclasses.replace(checkpoint.contract, horizons=horizons))
    decoder = make_decoder(checkpoint)
    try:
        # `actor/` of the bundle it replaces goes with it: it belongs to that prior
        with replaced_folder(out) as fresh:
            _write(decoder, checkpoint, fresh, name or out.name, licence)
            _check_parity(decoder, load_bundle(fresh))
    except BundleError as error:
        raise PriorError(f"export failed, no bundle was written: {error}") from None
    return load_bundle(out)


def _write(decoder: Decoder, checkpoint: Checkpoint, folder: Path, name: str, licence: str):
    write_whole(folder / DECODER, to_onnx(decoder))
    write_whole(folder / WEIGHTS, save({key: tensor.contiguous() for key, tensor in decoder.state_dict().items()}))
    arrays = {}
    for batch in GOLDEN_BATCHES:
        observation, noise = cases(decoder, batch, seed=batch)
        arrays |= {
            f"observation_{batch}": observation,
            f"noise_{batch}": noise,
            f"action_{batch}": run_torch(decoder, observation, noise),
        }
    write_arrays(folder / GOLDEN, arrays)
    files = {file: _entry(folder / file) for file in (DECODER, WEIGHTS, GOLDEN)}
    manifest = _manifest(decoder, checkpoint, files, name, licence)
    manifest = dataclasses.replace(manifest, manifest_digest=manifest.own_digest())
    tree = json.loads(json.dumps(dataclasses.asdict(manifest))) | {"contract": contract_to_dict(checkpoint.contract)}
    text = yaml.safe_dump(tree, sort_keys=False, width=120, default_flow_style=None)
    write_whole(folder / MANIFEST, text.encode())


def to_onnx(decoder: Decoder) -> bytes:
    """The decoder as one ONNX model with a dynamic batch; checked by onnx. No network is used."""
    import onnx

    observation, noise = (torch.from_numpy(a) for a in cases(decoder, 4, seed=0))
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        _quiet("torch.onnx", "onnxscript", "onnx_ir"),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            decoder,
            (observation, noise),
            dynamo=True,
            opset_version=OPSET,
            input_names=["observation", "noise"],
            output_names=["action"],
            dynamic_shapes={"observation": {0: batch}, "noise": {0: batch}},
            verbose=False,
        )
    model = program.model_proto
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.ClearField("metadata_props")  # stack traces of this machine have no place in a bundle
        item.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def cases(decoder: Decoder, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """States a little beyond the training range, and noise: float32 [count, T_o*d_o], [count, T_p, d_a]."""
    rng = np.random.default_rng(seed)
    shift, scale = decoder.state_shift.numpy(), decoder.state_scale.numpy()
    states = shift + scale * rng.uniform(-1.2, 1.2, (count, len(shift)))
    return states.astype(np.float32), rng.standard_normal((count, *decoder.noise_shape)).astype(np.float32)


@torch.no_grad()
def run_torch(decoder: Decoder, observation: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The same decoder in torch, the reference of every parity check."""
    return decoder(torch.from_numpy(observation), torch.from_numpy(noise)).numpy()


def _check_parity(decoder: Decoder, bundle: Bundle):
    session = DecoderSession(bundle, "cpu")  # replays the golden cases
    observation, noise = cases(decoder, PARITY_CASES, seed=1234)
    expected = run_torch(decoder, observation, noise)
    off = float(np.abs(session.decode(observation, noise) - expected).max())
    if not off <= PARITY:
        raise BundleError(f"{DECODER} differs from torch by {off:.2e} in action units, more than {PARITY:.0e}")


def _manifest(decoder, checkpoint, files, name, licence) -> Manifest:
    config, contract = checkpoint.config, checkpoint.contract
    if config.kind == "diffusion":
        visited = tuple(int(t) for t in time_steps(config.train_steps, config.steps))
        sampler = SamplerInfo("ddim", config.steps, config.train_steps, config.prediction, visited)
    else:
        sampler = SamplerInfo(config.solver, config.steps)
    losses = [entry["held_out_loss"] for entry in checkpoint.history if entry["held_out_loss"] is not None]
    versions = {package: importlib.metadata.version(package) for package in ("torch", "onnx", "onnxruntime", "numpy")}
    return Manifest(
        schema=SCHEMA,
        name=name,
        kind=config.kind,
        licence=licence,
        sampler=sampler,
        opset=OPSET,
        versions=versions,
        training=TrainingInfo(
            demos_digest=checkpoint.demos["digest"],
            demos=checkpoint.demos["count"],
            ticks=checkpoint.demos["ticks"],
            updates=checkpoint.update,
            seed=config.seed,
            held_out_loss=losses[-1] if losses else None,
            config=json.dumps(dataclasses.asdict(config), sort_keys=True),
        ),
        **{
            key: tuple(getattr(decoder, key).tolist())
            for key in ("state_shift", "state_scale", "action_low", "action_high")
        },
        contract_digest=contract.digest,
        files=files,
        contract=contract,
    )


def _entry(path: Path) -> FileEntry:
    return FileEntry(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


@contextlib.contextmanager
def _quiet(*names):
    """Silence exporters that log to the root of their package."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
