"""The decoder at run time: an ONNX Runtime session on a named provider, proven on golden cases. No torch."""

from functools import cache, partial

import numpy as np

from lpds_ros.prior.bundle import CASE, GIVEN_CASE, Bundle, BundleError
from lpds_ros.prior.fastest import fastest
from lpds_ros.prior.runtime import PROVIDERS, Bound, ProviderError, open_model

NO_PREFIX = "this bundle's decoder takes no given rows: export its checkpoint again with `lpds prior export --prefix`"


class DecoderSession:
    """The frozen policy of a bundle, ready to run.

    provider: "cpu", "openvino", "cuda", "tensorrt" (that one, or ProviderError), or "auto": the fastest of the first three
    here (`fastest`). threads: within one call. variant: a precision the bundle has; other than fp32 on the CPU alone. batch:
    the one B it will be asked for, by one thread, with buffers of its own; or None for any. The golden cases are replayed
    here: BundleError when one is off by more than the variant's tolerance (1e-4 for fp32). `provider`, `variant` and `form`
    say what runs.
    """

    def __init__(
        self, bundle: Bundle, provider: str = "auto", threads: int = 1, *, variant: str = "fp32", batch: int | None = None
    ):
        if batch is not None and batch < 1:
            raise ValueError(f"batch must be at least 1, or None for any; got {batch}")
        self.bundle, self.variant, self.batch = bundle, variant, batch
        self.provider, self.form, self._run = _choose(bundle, variant, provider, threads, batch)
        self._state_size, self._noise_shape = bundle.contract.state_size, bundle.contract.noise_shape
        self._replay_golden(CASE)
        if self.takes_prefix:
            self._replay_golden(GIVEN_CASE)

    @property
    def takes_prefix(self) -> bool:
        """Whether rows of the chunk can be given."""
        return self.bundle.info.prefix

    def decode(
        self, state: np.ndarray, noise: np.ndarray, prefix: np.ndarray | None = None, weight: np.ndarray | None = None
    ) -> np.ndarray:
        """state [B, T_o*d_o], noise [B, T_p, d_a] -> action float32 [B, T_p, d_a] in the contract's units.

        prefix [B, T_p, d_a], weight [B, T_p] in [0, 1]: rows that are given, contract units, and how much each counts (see
        Decoder). Raises ValueError for other shapes, or for a prefix where the bundle takes none; arrays of another type are
        converted.
        """
        if state.shape != (len(noise), self._state_size) or noise.shape[1:] != self._noise_shape:
            raise ValueError(
                f"decode takes state [B, {self._state_size}] and noise [B, {self._noise_shape}], "
                f"got {state.shape} and {noise.shape}"
            )
        if self.batch not in (None, len(noise)):
            raise ValueError(f"this session is fixed to batches of {self.batch}, got one of {len(noise)}: open another")
        feed = {"observation": state, "noise": noise}
        if prefix is not None:
            if not self.takes_prefix:
                raise ValueError(NO_PREFIX)
            if prefix.shape != noise.shape or weight.shape != noise.shape[:2]:
                raise ValueError(f"of a noise {noise.shape} rows were given as {prefix.shape}, weights as {weight.shape}")
            feed |= {"prefix": prefix, "weight": weight}
        elif self.takes_prefix:
            feed |= {"prefix": np.zeros_like(noise, np.float32), "weight": np.zeros(noise.shape[:2], np.float32)}
        return self._run({name: np.ascontiguousarray(array, np.float32) for name, array in feed.items()})

    def _replay_golden(self, parts: tuple[str, ...]):
        tolerance = self.bundle.variant(self.variant).tolerance
        for *inputs, action in self.bundle.golden(parts):
            each = self.batch or len(action)
            rows = [np.minimum(np.arange(i, i + each), len(action) - 1) for i in range(0, len(action), each)]
            found = np.concatenate([self.decode(*(array[row] for array in inputs)) for row in rows])[: len(action)]
            off = float(np.abs(found - action).max())
            if not off <= tolerance:
                file = self.bundle.path / self.bundle.variant(self.variant).files[self.form]
                raise BundleError(
                    f"{file}: on provider '{self.provider}' golden case {len(action)} is off by {off:.2e}, more than "
                    f"{tolerance:.0e}: try provider 'cpu' with variant 'fp32', or export the bundle again"
                )


def _choose(bundle: Bundle, variant: str, provider: str, threads: int, batch: int | None):
    """(provider, form, run): a CPU runs the loop, everything else the graph without control flow."""
    files = bundle.variant(variant).files
    if provider != "auto" and provider not in PROVIDERS:
        raise ProviderError(f"provider '{provider}' is not one of auto, {', '.join(PROVIDERS)}")

    def form_of(name: str) -> str:
        return "loop" if name == "cpu" else "unrolled"

    @cache  # what was measured is what runs
    def opened(name: str):
        form = form_of(name)
        if form not in files:
            raise ProviderError(f"variant '{variant}' is for the CPU: use provider 'cpu', or variant 'fp32' on '{name}'")
        session = open_model(bundle.read(files[form]), name, threads, batch)
        if batch is None:
            return form, lambda feed: session.run(["action"], feed)[0]
        shapes = _inputs(bundle, batch) | {"action": (batch, *bundle.contract.noise_shape)}
        return form, Bound(session, name, shapes).run

    if provider == "auto":
        able = [name for name in PROVIDERS if form_of(name) in files]
        what = {"bundle": bundle.digest, "variant": variant, "threads": threads, "batch": batch}
        blank = {name: np.zeros(shape, np.float32) for name, shape in _inputs(bundle, batch or 1).items()}
        provider = fastest(able, what, lambda name: partial(opened(name)[1], blank))
    return provider, *opened(provider)


def _inputs(bundle: Bundle, batch: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of what its graphs take."""
    contract = bundle.contract
    chunk = (batch, *contract.noise_shape)
    given = {"prefix": chunk, "weight": chunk[:2]} if bundle.info.prefix else {}
    return {"observation": (batch, contract.state_size), "noise": chunk} | given
