"""Checkpoint to bundle: the whole sampler as ONNX graphs, each checked against torch before the bundle gets its name."""

import dataclasses
import hashlib
import importlib.metadata
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from lpds_ros.config import to_yaml
from lpds_ros.contract import Contract
from lpds_ros.durable import replaced_folder, write_arrays, write_whole
from lpds_ros.prior.assemble import assemble
from lpds_ros.prior.bundle import (
    CASE,
    DECODER,
    GIVEN_CASE,
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
    Variant,
    load_bundle,
)
from lpds_ros.prior.checkpoint import load_checkpoint
from lpds_ros.prior.config import PriorError
from lpds_ros.prior.encoders import EncoderSession
from lpds_ros.prior.export_encoders import given_encoder, write_encoders
from lpds_ros.prior.fold import fold_norms
from lpds_ros.prior.measure import GATE, machine, paced_ms, rmse
from lpds_ros.prior.parts import OPSET, export_conditioner, export_step
from lpds_ros.prior.quantise import has_vnni, quantise
from lpds_ros.prior.runtime import open_model
from lpds_ros.prior.sampler import Decoder, time_steps
from lpds_ros.prior.session import DecoderSession
from lpds_ros.prior.train import make_decoder

FASTER = ("int8",)  # variants beside fp32, behind the gate
GOLDEN_BATCHES = (1, 8)
PARITY_CASES = 256  # states and noises compared beside the golden ones
MARGIN = 2.0  # on the largest error seen at export, for the golden cases of an inexact variant


def export(
    checkpoint_directory,
    out,
    *,
    name: str = "",
    licence: str = "Apache-2.0",
    overwrite: bool = False,
    delay: int | None = None,
    reward: str = "",
    prefix: bool = False,
    variants: tuple[str, ...] = (),
    states: np.ndarray | None = None,
) -> Bundle:
    """Write the bundle `out` from a checkpoint and return it, loaded and verified. delay: ticks, None: the contract's own.
    reward: who says what succeeds, task_state or operator; empty: the contract's own.

    prefix: its graphs take rows that are given. variants: of FASTER, beside fp32. states: float32 [N, T_o*d_o] they are judged
    on; None: drawn from the training range.
    Raises PriorError when `out` exists (and not `overwrite`), when an fp32 graph differs from torch by more than 1e-4 in action
    units on any of 256 cases, or a faster variant by more than the gate allows (3 % of the action's standard deviation); then
    nothing is left behind and an earlier bundle stays as it was.
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
    if reward:
        judged = dataclasses.replace(checkpoint.contract.reward, source=reward)
        checkpoint = dataclasses.replace(checkpoint, contract=dataclasses.replace(checkpoint.contract, reward=judged))
    if unknown := set(variants) - set(FASTER):
        raise PriorError(f"variants {sorted(unknown)} are not known; beside fp32 there is {', '.join(FASTER)}")
    decoder = make_decoder(checkpoint)
    given = given_encoder(checkpoint_directory, checkpoint)
    try:
        # `actor/` of the bundle it replaces goes with it: it belongs to that prior
        with replaced_folder(out) as fresh:
            encoders, pictures = write_encoders(fresh, decoder.network.encoders, given, checkpoint)
            _write(decoder, checkpoint, fresh, name or out.name, licence, prefix, variants, states, encoders, pictures)
            for variant in ("fp32", *variants):
                DecoderSession(load_bundle(fresh), "cpu", variant=variant)
            EncoderSession(load_bundle(fresh))
    except BundleError as error:
        raise PriorError(f"export failed, no bundle was written: {error}") from None
    return load_bundle(out)


def _write(decoder, checkpoint, folder: Path, name: str, licence: str, prefix: bool, faster, states, encoders, pictures):
    golden = [_case(decoder, n, n, given) for n in GOLDEN_BATCHES for given in (False, True)[: 1 + prefix]]
    arrays = {}
    for case in golden:
        parts = CASE if len(case) == len(CASE) else GIVEN_CASE
        arrays |= {f"{part}_{len(case[0])}": array for part, array in zip(parts, case)}
    write_arrays(folder / GOLDEN, arrays | pictures)
    write_whole(folder / WEIGHTS, save({key: tensor.contiguous() for key, tensor in decoder.state_dict().items()}))
    files, variants = [WEIGHTS, GOLDEN, *dict.fromkeys(encoders.values())], {}
    for variant, models in to_onnx(decoder, faster, prefix).items():
        stem = Path(DECODER).stem + ("" if variant == "fp32" else f"-{variant}")
        named = {form: f"{stem}{'' if form == 'loop' else f'-{form}'}.onnx" for form in models}
        for form, file in named.items():
            write_whole(folder / file, models[form])
        files += named.values()
        variants[variant] = _judge(decoder, variant, models, named, golden, prefix, states)
    variants = _timed(variants, folder, golden[0][:2])
    entries = {file: _entry(folder / file) for file in sorted(files)}
    manifest = _manifest(decoder, checkpoint, entries, variants, name, licence, prefix)
    manifest = dataclasses.replace(manifest, encoders=encoders)
    manifest = dataclasses.replace(manifest, manifest_digest=manifest.own_digest())
    text = to_yaml(json.loads(json.dumps(manifest.tree())), width=120, default_flow_style=None)
    write_whole(folder / MANIFEST, text.encode())


def to_onnx(decoder: Decoder, variants: tuple[str, ...] = (), prefix: bool = False) -> dict[str, dict[str, bytes]]:
    """variant -> form -> the whole decoder as an ONNX model with a dynamic batch. All come from the same two parts.

    prefix: they take rows that are given.
    """
    conditioner, step = export_conditioner(decoder), export_step(decoder)
    folded = fold_norms(step)
    models = {
        "fp32": {
            "loop": assemble(conditioner, folded, decoder, "loop", prefix),
            "unrolled": assemble(conditioner, step, decoder, "unrolled", prefix),
        }
    }
    if "int8" in variants:
        small = quantise(folded, reduce_range=not has_vnni())
        models["int8"] = {"loop": assemble(conditioner, small, decoder, "loop", prefix)}
    return {
        variant: {form: model.SerializeToString(deterministic=True) for form, model in forms.items()}
        for variant, forms in models.items()
    }


def _judge(decoder, name: str, models: dict[str, bytes], files: dict[str, str], golden, prefix, states) -> Variant:
    """The error of a variant. Raises BundleError when fp32 is not exact or a faster one does not pass the gate."""
    judged = _judged(decoder, states)
    expected = run_torch(decoder, *judged)
    wider = [_case(decoder, PARITY_CASES, 1234, given) for given in (False, True)[: 1 + prefix]]
    off, error = 0.0, 0.0
    for model in models.values():
        session = open_model(model, "cpu")
        for *inputs, action in (*golden, *wider, (*judged, expected)):
            off = max(off, float(np.abs(_run(session, *inputs) - action).max()))
        error = max(error, rmse(_run(session, *judged), expected, decoder.action_scale.numpy()))
    where = "training range" if states is None else "demonstrations"
    if name == "fp32" and not off <= PARITY:
        raise BundleError(f"{files} differ from torch by {off:.2e} in action units, more than {PARITY:.0e}")
    if name != "fp32" and not error <= GATE:
        raise BundleError(
            f"variant {name} is off by {100 * error:.1f} % of the action's standard deviation (RMSE on states of the {where}), "
            f"more than {100 * GATE:.0f} %: export without it, or train this prior longer"
        )
    tolerance = PARITY if name == "fp32" else MARGIN * off
    precision = f"{name}, 7 bits" if name == "int8" and not has_vnni() else name
    return Variant(precision, files, tolerance, error, where)


def _timed(variants: dict[str, Variant], folder: Path, chunk) -> dict[str, Variant]:
    """The variants with the time of one chunk in each of their files, on this machine's CPU, all measured in turn."""
    calls = {}
    for name, variant in variants.items():
        for form, file in variant.files.items():
            calls[name, form] = partial(_run, open_model((folder / file).read_bytes(), "cpu"), *chunk)
    latency = paced_ms(calls)
    return {
        name: dataclasses.replace(
            variant, latency_ms={form: latency[name, form] for form in variant.files}, measured_on=machine()
        )
        for name, variant in variants.items()
    }


def _run(session, observation: np.ndarray, noise: np.ndarray, *given: np.ndarray) -> np.ndarray:
    given = given or (np.zeros_like(noise), np.zeros(noise.shape[:2], np.float32))  # as many as the graph takes
    inputs = (observation, noise, *given)
    return session.run(["action"], {taken.name: array for taken, array in zip(session.get_inputs(), inputs)})[0]


def _judged(decoder: Decoder, states) -> tuple[np.ndarray, np.ndarray]:
    """(observation, noise) that errors are measured on: at most 256 of the states given, or drawn from the training range."""
    if states is None:
        return cases(decoder, PARITY_CASES, seed=4321, reach=1.0)
    rows = np.random.default_rng(0).permutation(len(states))[:PARITY_CASES]
    return np.ascontiguousarray(states[rows], np.float32), cases(decoder, len(rows), seed=4321)[1]


def cases(decoder: Decoder, count: int, seed: int, reach: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    """States up to `reach` times the training range, and noise: float32 [count, T_o*d_o], [count, T_p, d_a]."""
    rng = np.random.default_rng(seed)
    shift, scale = decoder.state_shift.numpy(), decoder.state_scale.numpy()
    states = shift + scale * rng.uniform(-reach, reach, (count, len(shift)))
    return states.astype(np.float32), rng.standard_normal((count, *decoder.noise_shape)).astype(np.float32)


def given_rows(decoder: Decoder, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(prefix, weight) to go with `cases`: drawn within the action's bounds, and weights that fall to zero at any row."""
    rng = np.random.default_rng(seed)
    rows, size = decoder.noise_shape
    prefix = rng.uniform(decoder.action_low.numpy(), decoder.action_high.numpy(), (count, rows, size))
    whole, fading = rng.integers(0, rows, (2, count, 1))
    weight = np.clip((whole + fading - np.arange(rows)) / (fading + 1), 0.0, 1.0)
    return prefix.astype(np.float32), weight.astype(np.float32)


def _case(decoder: Decoder, count: int, seed: int, given: bool) -> tuple[np.ndarray, ...]:
    """Inputs and torch's output: the arrays of CASE, or of GIVEN_CASE."""
    inputs = cases(decoder, count, seed) + (given_rows(decoder, count, seed) if given else ())
    return *inputs, run_torch(decoder, *inputs)


@torch.no_grad()
def run_torch(decoder: Decoder, *inputs: np.ndarray) -> np.ndarray:
    """The same decoder in torch, the reference of every parity check."""
    return decoder(*map(torch.from_numpy, inputs)).numpy()


def _manifest(decoder, checkpoint, files, variants, name, licence, prefix) -> Manifest:
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
        variants=variants,
        prefix=prefix,
    )


def _entry(path: Path) -> FileEntry:
    return FileEntry(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
