"""The decoder at run time: an ONNX Runtime session on a named provider, proven on golden cases. No torch."""

import logging

import numpy as np

from lpds_ros.prior.bundle import DECODER, PARITY, Bundle, BundleError

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
    else the CPU. threads: within one call. The golden cases are replayed here: BundleError when one is off by more than
    1e-4.
    """

    def __init__(self, bundle: Bundle, provider: str = "auto", threads: int = 1):
        runtime = _runtime()
        self.bundle = bundle
        self.provider, self._session = _open(runtime, bundle.read(DECODER), provider, threads)
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
        feed = {
            "observation": np.ascontiguousarray(state, np.float32),
            "noise": np.ascontiguousarray(noise, np.float32),
        }
        return self._session.run(["action"], feed)[0]

    def _replay_golden(self):
        for observation, noise, action in self.bundle.golden():
            off = float(np.abs(self.decode(observation, noise) - action).max())
            if not off <= PARITY:
                raise BundleError(
                    f"{self.bundle.decoder_onnx}: on provider '{self.provider}' golden case {len(action)} is off "
                    f"by {off:.2e}, more than {PARITY:.0e}: try provider 'cpu', or export the bundle again"
                )


def _runtime():
    try:
        import onnxruntime
    except ImportError:
        raise ProviderError(
            "ONNX Runtime is not installed: pip install onnxruntime (or onnxruntime-gpu, never both)"
        ) from None
    return onnxruntime


def _open(runtime, model: bytes, provider: str, threads: int):
    if provider == "auto":
        if PROVIDERS["cuda"] in runtime.get_available_providers():
            try:
                return _open(runtime, model, "cuda", threads)
            except ProviderError as error:
                logger.info("provider auto: CUDA is listed but does not work here, using the CPU (%s)", error)
        return _open(runtime, model, "cpu", threads)
    if provider not in PROVIDERS:
        raise ProviderError(f"provider '{provider}' is not one of auto, {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider]
    if wanted not in runtime.get_available_providers():
        raise ProviderError(
            f"provider '{provider}' is not part of the installed ONNX Runtime {runtime.__version__}: "
            f"pip install {INSTALL[provider]} in its place, or use provider 'auto'"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
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
    return provider, session
