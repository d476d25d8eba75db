"""The decoder at run time: an ONNX Runtime session on a named provider, proven on golden cases. No torch."""

import logging

import numpy as np

from lpds_ros.prior.bundle import Bundle, BundleError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
INSTALL = {
    "cpu": "onnxruntime",
    "cuda": "'onnxruntime-gpu[cuda,cudnn]'",
    "tensorrt": "onnxruntime-gpu",
    "openvino": "onnxruntime-openvino",
}

logger = logging.getLogger(__name__)


class ProviderError(BundleError):
    """The execution provider asked for is not the one that would run; nothing falls back silently."""


class DecoderSession:
    """The frozen policy of a bundle, ready to run.

    provider: "cpu", "cuda", "tensorrt", "openvino" (that one, or ProviderError), or "auto": CUDA where it really works,
    else the CPU. threads: within one call. variant: a precision the bundle has; other than fp32 on the CPU alone. batch: the
    one B it will be asked for, or None for any. The golden cases are replayed here: BundleError when one is off by more than
    the variant's tolerance (1e-4 for fp32). `provider`, `variant` and `form` say what runs.
    """

    def __init__(
        self, bundle: Bundle, provider: str = "auto", threads: int = 1, *, variant: str = "fp32", batch: int | None = None
    ):
        if batch is not None and batch < 1:
            raise ValueError(f"batch must be at least 1, or None for any; got {batch}")
        self.bundle, self.variant, self.batch = bundle, variant, batch
        self.provider, self.form, self._session = _choose(bundle, variant, provider, threads, batch)
        self._state_size, self._noise_shape = bundle.contract.state_size, bundle.contract.noise_shape
        self._replay_golden()

    def decode(self, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """state [B, T_o*d_o], noise [B, T_p, d_a] -> action float32 [B, T_p, d_a] in the contract's units.

        Raises ValueError for other shapes; arrays of another type are converted.
        """
        if state.shape != (len(noise), self._state_size) or noise.shape[1:] != self._noise_shape:
            raise ValueError(
                f"decode takes state [B, {self._state_size}] and noise [B, {self._noise_shape}], "
                f"got {state.shape} and {noise.shape}"
            )
        if self.batch not in (None, len(noise)):
            raise ValueError(f"this session is fixed to batches of {self.batch}, got one of {len(noise)}: open another")
        feed = {
            "observation": np.ascontiguousarray(state, np.float32),
            "noise": np.ascontiguousarray(noise, np.float32),
        }
        return self._session.run(["action"], feed)[0]

    def _replay_golden(self):
        tolerance = self.bundle.variant(self.variant).tolerance
        for observation, noise, action in self.bundle.golden():
            each = self.batch or len(action)
            rows = [np.minimum(np.arange(i, i + each), len(action) - 1) for i in range(0, len(action), each)]
            found = np.concatenate([self.decode(observation[row], noise[row]) for row in rows])[: len(action)]
            off = float(np.abs(found - action).max())
            if not off <= tolerance:
                file = self.bundle.path / self.bundle.variant(self.variant).files[self.form]
                raise BundleError(
                    f"{file}: on provider '{self.provider}' golden case {len(action)} is off by {off:.2e}, more than "
                    f"{tolerance:.0e}: try provider 'cpu' with variant 'fp32', or export the bundle again"
                )


def open_model(model: bytes, provider: str, threads: int = 1, batch: int | None = None):
    """An ONNX Runtime session on `provider`, never on another in its place. Raises ProviderError."""
    runtime = _runtime()
    wanted = PROVIDERS[provider]
    if wanted not in runtime.get_available_providers():
        raise ProviderError(
            f"provider '{provider}' is not part of the installed ONNX Runtime {runtime.__version__}: "
            f"pip install {INSTALL[provider]} in its place, or use provider 'auto'"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if batch is not None:
        options.add_free_dimension_override_by_name("batch", batch)
    if provider in ("cuda", "tensorrt"):
        if hasattr(runtime, "preload_dlls"):
            runtime.preload_dlls()
        # The GPU wheel otherwise runs on the CPU without a word when no GPU answers.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    wanted_list = [wanted] if provider != "tensorrt" else [wanted, PROVIDERS["cuda"]]
    try:
        session = runtime.InferenceSession(model, options, providers=wanted_list)
    except Exception as error:  # noqa: BLE001 (ONNX Runtime raises bare pybind classes of its own, one for each status)
        raise ProviderError(
            f"provider '{provider}' cannot run this decoder: {' '.join(str(error).split())[:300]}"
        ) from None
    if session.get_providers()[0] != wanted:
        raise ProviderError(f"asked for provider '{provider}', ONNX Runtime would use {session.get_providers()[0]}")
    return session


def _choose(bundle: Bundle, variant: str, provider: str, threads: int, batch: int | None):
    """(provider, form, session): a CPU runs the loop, everything else the graph without control flow."""
    files = bundle.variant(variant).files
    if provider == "auto":
        if "unrolled" in files and PROVIDERS["cuda"] in _runtime().get_available_providers():
            try:
                return _choose(bundle, variant, "cuda", threads, batch)
            except ProviderError as error:
                logger.info("provider auto: CUDA is listed but does not work here, using the CPU (%s)", error)
        provider = "cpu"
    if provider not in PROVIDERS:
        raise ProviderError(f"provider '{provider}' is not one of auto, {', '.join(PROVIDERS)}")
    form = "loop" if provider == "cpu" else "unrolled"
    if form not in files:
        raise ProviderError(f"variant '{variant}' is for the CPU: use provider 'cpu', or variant 'fp32' on '{provider}'")
    return provider, form, open_model(bundle.read(files[form]), provider, threads, batch)


def _runtime():
    try:
        import onnxruntime
    except ImportError:
        raise ProviderError(
            "ONNX Runtime is not installed: pip install onnxruntime (or onnxruntime-gpu, never both)"
        ) from None
    return onnxruntime
