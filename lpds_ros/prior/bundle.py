"""The bundle: a folder with everything that must travel with a frozen decoder, and the digests that prove it is whole.

`bundle.yaml` names each file with its SHA-256 and size, and carries a digest of itself (`manifest_digest`), so that one
flipped byte anywhere is refused. No torch here: steering and learner load bundles too.
"""

import dataclasses
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lpds_ros.config import ConfigError, build, read_yaml
from lpds_ros.contract import Contract, contract_to_dict
from lpds_ros.durable import read_arrays, surviving
from lpds_ros.identity import digest_of

SCHEMA = 1
MANIFEST = "bundle.yaml"
DECODER, WEIGHTS, GOLDEN = "decoder.onnx", "decoder.safetensors", "golden.npz"
CASE = ("observation", "noise", "action")  # arrays of one golden case, the last one the output
GIVEN_CASE = ("observation", "noise", "prefix", "weight", "completed")  # the same with rows that are given
FORMS = ("loop", "unrolled")  # of the sampler's graph: the step once, in a Loop; or K times, without control flow
MAX_FILE_BYTES = 1 << 32
MAX_GOLDEN_BYTES = 1 << 28  # unpacked
PARITY = 1e-4  # largest difference in action units between what a bundle promises and what a session computes
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class BundleError(ConfigError):
    """A bundle that is incomplete, altered or not reproduced here; the text names the file and what differs."""


@dataclass(frozen=True)
class FileEntry:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class SamplerInfo:
    """The deterministic sampler inside the decoder's graph. time_steps: training steps visited, empty for a flow."""

    name: Literal["ddim", "euler", "midpoint"]
    steps: int
    train_steps: int | None = None
    prediction: str | None = None
    time_steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrainingInfo:
    """What the decoder was trained on, and how. config: the PriorConfig as JSON."""

    demos_digest: str
    demos: int
    ticks: int
    updates: int
    seed: int
    held_out_loss: float | None
    config: str


@dataclass(frozen=True)
class Variant:
    """A precision of the decoder, and how it did against torch when it was exported, on the machine `measured_on`.

    files: form -> file. rmse: in standard deviations of the action, on `states`. tolerance: the largest difference on golden
    cases that a session accepts, action units. latency_ms: form -> median of one chunk, paced, one thread.
    """

    precision: str
    files: dict[str, str]
    tolerance: float
    rmse: float = 0.0
    states: str = ""
    latency_ms: dict[str, float] = field(default_factory=dict)
    measured_on: str = ""


@dataclass(frozen=True)
class Manifest:
    """bundle.yaml. state_*: normalisation of the stacked observation [T_o*d_o]; action_*: bounds of each row [d_a].

    variants: by name, "fp32" always; empty in bundles of before, whose one decoder serves every form. prefix: whether its graphs
    take rows that are given. encoders: stream of images -> file; several streams may share one.
    """

    schema: int
    name: str
    kind: Literal["diffusion", "flow"]
    licence: str
    sampler: SamplerInfo
    opset: int
    versions: dict[str, str]
    training: TrainingInfo
    state_shift: tuple[float, ...]
    state_scale: tuple[float, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    contract_digest: str
    files: dict[str, FileEntry]
    contract: Contract
    variants: dict[str, Variant] = field(default_factory=dict)
    prefix: bool = False
    encoders: dict[str, str] = field(default_factory=dict)
    manifest_digest: str = ""

    def tree(self) -> dict:
        """Plain values by field, as they stand in bundle.yaml; what came later is not there where it says nothing."""
        tree = dataclasses.asdict(self) | {"contract": contract_to_dict(self.contract)}
        return {name: value for name, value in tree.items() if value or name not in ("variants", "prefix", "encoders")}

    def own_digest(self) -> str:
        """SHA-256 over the canonical JSON of everything but `manifest_digest`."""
        return digest_of({name: value for name, value in self.tree().items() if name != "manifest_digest"})

    def bundle_digest(self) -> str:
        """SHA-256 over the sorted (file, sha256) table."""
        table = "".join(f"{name} {entry.sha256}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256(table.encode()).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. digest: the prior's identity in weights, decisions and status. Arrays are float32."""

    path: Path
    name: str
    digest: str
    contract: Contract
    kind: str
    sampler: SamplerInfo
    decoder_onnx: Path
    state_shift: np.ndarray
    state_scale: np.ndarray
    action_low: np.ndarray
    action_high: np.ndarray
    info: Manifest

    @property
    def variants(self) -> dict[str, Variant]:
        """The precisions of its decoder by name."""
        return self.info.variants or {"fp32": Variant("fp32", dict.fromkeys(FORMS, DECODER), PARITY)}

    def variant(self, name: str) -> Variant:
        """One of them. Raises BundleError naming those there are."""
        if name not in self.variants:
            raise BundleError(
                f"{self.path}: no variant '{name}', it has {', '.join(self.variants)}: choose one, "
                f"or export it with `lpds prior export --variants {name}`"
            )
        return self.variants[name]

    def read(self, name: str) -> bytes:
        """The bytes of one of its files, verified again: what is used is what was checked. Raises BundleError."""
        return _verified(self.path, name, self.info.files[name])

    def golden(self, parts: tuple[str, ...] = CASE) -> list[tuple[np.ndarray, ...]]:
        """Arrays of the export's cases: observation [B, T_o*d_o], noise and action [B, T_p, d_a]. Raises BundleError.

        parts: GIVEN_CASE for the cases with given rows: prefix and completed [B, T_p, d_a], weight [B, T_p].
        """
        content, output = self.read(GOLDEN), parts[-1]
        try:
            arrays = read_arrays(content, MAX_GOLDEN_BYTES)
            sizes = sorted(int(name.removeprefix(f"{output}_")) for name in arrays if name.startswith(f"{output}_"))
            cases = [tuple(arrays[f"{part}_{n}"] for part in parts) for n in sizes]
            if any(a.ndim == 0 for case in cases for a in case):
                raise ValueError("a number where an array is expected")
        except (ValueError, KeyError) as error:
            raise BundleError(f"{self.path / GOLDEN}: not readable: {error}") from None
        each = {"observation": (self.contract.state_size,), "weight": self.contract.noise_shape[:1]}
        for case in cases:
            shapes = tuple((len(case[-1]), *each.get(part, self.contract.noise_shape)) for part in parts)
            if tuple(a.shape for a in case) != shapes or any(a.dtype != np.float32 for a in case):
                raise BundleError(
                    f"{self.path / GOLDEN}: arrays {[a.shape for a in case]} do not fit the contract: {shapes}"
                )
        if not cases:
            raise BundleError(f"{self.path / GOLDEN}: holds no recorded case")
        return cases

    def golden_images(self, stream: str) -> tuple[np.ndarray, np.ndarray]:
        """Pictures uint8 [N, h, w, 3] of a stream and what its encoder made of them, float32 [N, size]. Raises BundleError."""
        where, size = self.contract.streams[stream], self.contract.images[stream].size
        try:
            arrays = read_arrays(self.read(GOLDEN), MAX_GOLDEN_BYTES)
            images, features = arrays[f"image_{stream}"], arrays[f"features_{stream}"]
        except (ValueError, KeyError) as error:
            raise BundleError(f"{self.path / GOLDEN}: no pictures of stream '{stream}' in it: {error}") from None
        fits = images.shape[1:] == (where.height_px, where.width_px, 3) and features.shape == (len(images), size)
        if not (len(images) and fits and images.dtype == np.uint8 and features.dtype == np.float32):
            raise BundleError(f"{self.path / GOLDEN}: the pictures of stream '{stream}' do not fit the contract")
        return images, features


def load_bundle(path) -> Bundle:
    """Read and verify a bundle folder: every file's size and SHA-256, the contract's digest, the manifest's own.

    Raises BundleError naming the file and both digests, ConfigError for a malformed bundle.yaml.
    """
    path = surviving(Path(path))
    if not path.is_dir():
        raise BundleError(f"{path}: no such bundle folder; make one with `lpds prior export`")
    where = path / MANIFEST
    if not where.is_file():
        raise BundleError(f"{path}: no {MANIFEST}: not a bundle, or an export that did not finish")
    manifest = build(Manifest, read_yaml(where), where)
    if manifest.schema != SCHEMA:
        raise BundleError(f"{where}: schema {manifest.schema} is not known to this version ({SCHEMA})")
    _same(where, "contract", manifest.contract.digest, manifest.contract_digest)
    for name, entry in manifest.files.items():
        _verified(path, name, entry)
    for name in (DECODER, WEIGHTS, GOLDEN):
        if name not in manifest.files:
            raise BundleError(f"{where}: files lists no {name}")
    _check_variants(where, manifest)
    _check_encoders(where, manifest)
    _same(where, "manifest", manifest.own_digest(), manifest.manifest_digest)
    contract = manifest.contract
    arrays = {}
    for name, size in (
        ("state_shift", contract.state_size),
        ("state_scale", contract.state_size),
        ("action_low", contract.action.size),
        ("action_high", contract.action.size),
    ):
        arrays[name] = np.asarray(getattr(manifest, name), np.float32)
        if arrays[name].shape != (size,):
            raise BundleError(f"{where}: {name} has {arrays[name].size} numbers, the contract asks for {size}")
        arrays[name].flags.writeable = False
    return Bundle(
        path=path,
        name=manifest.name,
        digest=manifest.bundle_digest(),
        contract=contract,
        kind=manifest.kind,
        sampler=manifest.sampler,
        decoder_onnx=path / DECODER,
        info=manifest,
        **arrays,
    )


def _check_variants(where: Path, manifest: Manifest):
    if manifest.variants and "fp32" not in manifest.variants:
        raise BundleError(f"{where}: variants lists no fp32")
    for name, variant in manifest.variants.items():
        unknown = variant.files.keys() - set(FORMS)
        if unknown or not variant.files:
            raise BundleError(f"{where}: variant {name} must have files for forms among {FORMS}, has {sorted(variant.files)}")
        missing = set(variant.files.values()) - manifest.files.keys()
        if missing:
            raise BundleError(f"{where}: variant {name} is in {sorted(missing)}, which files does not list")


def _check_encoders(where: Path, manifest: Manifest):
    images = manifest.contract.images
    if manifest.encoders.keys() != images.keys():
        raise BundleError(
            f"{where}: encoders are for the streams {sorted(manifest.encoders)}, the contract's images are {sorted(images)}"
        )
    if missing := set(manifest.encoders.values()) - manifest.files.keys():
        raise BundleError(f"{where}: encoders are in {sorted(missing)}, which files does not list")


def _verified(folder: Path, name: str, entry: FileEntry) -> bytes:
    if not FILE_NAME.fullmatch(name):
        raise BundleError(
            f"{folder / MANIFEST}: {name!r} is no plain file name; a bundle names files in its own folder only"
        )
    file = folder / name
    if not file.is_file():
        raise BundleError(
            f"{file}: missing; {MANIFEST} lists it with sha256 {entry.sha256[:12]}: copy the whole folder again"
        )
    size = file.stat().st_size
    if size != entry.bytes or size > MAX_FILE_BYTES:
        raise BundleError(f"{file}: {size} bytes, {MANIFEST} says {entry.bytes}: truncated or altered, copy it again")
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise BundleError(f"{file}: sha256 {found}, {MANIFEST} says {entry.sha256}: altered, copy it again")
    return content


def _same(where, what, found, recorded):
    if found != recorded:
        raise BundleError(
            f"{where}: its {what} has digest {found}, recorded {recorded or 'nothing'}: it was edited by hand; "
            "export the bundle again"
        )
