"""ONNX Runtime opened on the execution provider asked for, and on no other in its place."""

import numpy as np

from lpds_ros.prior.bundle import BundleError
from lpds_ros.resources import cache_folder

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
INSTALL = {
    "cpu": "onnxruntime",
    "openvino": "onnxruntime-openvino",
    "cuda": "'onnxruntime-gpu[cuda,cudnn]'",
    "tensorrt": "onnxruntime-gpu",
}
ON_GPU = ("cuda", "tensorrt")


class ProviderError(BundleError):
    """The execution provider asked for is not the one that would run; nothing falls back silently."""


def installed():
    """The onnxruntime module. Raises ProviderError with the line that installs it."""
    try:
        import onnxruntime
    except ImportError:
        raise ProviderError(
            "ONNX Runtime is not installed: pip install onnxruntime (or onnxruntime-gpu, never both)"
        ) from None
    return onnxruntime


def listed() -> list[str]:
    """Providers, by our names, that the installed runtime lists. Those of a GPU wheel are listed without a GPU too."""
    there = installed().get_available_providers()
    return [name for name, own in PROVIDERS.items() if own in there]


def open_model(model: bytes, provider: str, threads: int = 1, batch: int | None = None):
    """An InferenceSession on `provider`, never on another in its place. Raises ProviderError.

    batch: fixed, or None for any. On CUDA a fixed batch is run as a CUDA graph; TensorRT keeps its engines in the cache folder.
    """
    runtime = installed()
    wanted = PROVIDERS[provider]
    if provider not in listed():
        raise ProviderError(
            f"provider '{provider}' is not part of the installed ONNX Runtime {runtime.__version__}: "
            f"pip install {INSTALL[provider]} in its place, or use provider 'auto'"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if batch is not None:
        options.add_free_dimension_override_by_name("batch", batch)
    if provider in ON_GPU:
        if hasattr(runtime, "preload_dlls"):
            runtime.preload_dlls()
        # The GPU wheel otherwise runs on the CPU without a word when no GPU answers.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = runtime.InferenceSession(model, options, providers=_with_options(provider, threads, batch))
    except Exception as error:  # noqa: BLE001 (ONNX Runtime raises bare pybind classes of its own, one for each status)
        raise ProviderError(
            f"provider '{provider}' cannot run this decoder: {' '.join(str(error).split())[:300]}"
        ) from None
    if session.get_providers()[0] != wanted:
        raise ProviderError(f"asked for provider '{provider}', ONNX Runtime would use {session.get_providers()[0]}")
    return session


def _with_options(provider: str, threads: int, batch: int | None) -> list:
    """The runtime's list of providers, each with its options, in their order."""
    graph = {"enable_cuda_graph": "1"} if batch is not None else {}
    if provider == "cuda":
        return [(PROVIDERS["cuda"], graph)]
    if provider == "tensorrt":
        folder = str(cache_folder() / "tensorrt")
        caches = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        caches |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
        return [(PROVIDERS["tensorrt"], caches | ({"trt_cuda_graph_enable": "1"} if graph else {})), PROVIDERS["cuda"]]
    if provider == "openvino":
        return [(PROVIDERS["openvino"], {"device_type": "CPU", "num_of_threads": str(threads), "precision": "ACCURACY"})]
    return [PROVIDERS[provider]]


class Bound:
    """A session of a fixed batch with buffers of its own: nothing is allocated for a call but its answer, and a CUDA graph
    finds its inputs where it was captured. Not for two threads at once.

    shapes: name -> shape of every input, and of the one output last.
    """

    def __init__(self, session, provider: str, shapes: dict[str, tuple[int, ...]]):
        runtime, place = installed(), ("cuda" if provider in ON_GPU else "cpu")
        self._session, self._on_cpu = session, place == "cpu"
        self._arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._values = {n: runtime.OrtValue.ortvalue_from_numpy(a, place, 0) for n, a in self._arrays.items()}
        self._binding = session.io_binding()
        *inputs, self._output = shapes
        for name in inputs:
            self._binding.bind_ortvalue_input(name, self._values[name])
        self._binding.bind_ortvalue_output(self._output, self._values[self._output])

    def run(self, feed: dict[str, np.ndarray]) -> np.ndarray:
        """The output for these inputs, a fresh array."""
        for name, given in feed.items():
            np.copyto(self._arrays[name], given)
            if not self._on_cpu:
                self._values[name].update_inplace(self._arrays[name])
        self._session.run_with_iobinding(self._binding)
        return np.array(self._values[self._output].numpy())
