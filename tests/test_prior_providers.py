"""Providers: the fastest is measured once and kept; what does not work is dropped; bound buffers give what plain calls give."""

import json

import numpy as np
import pytest

from lpds_ros.prior import fastest as choosing
from lpds_ros.prior import runtime
from lpds_ros.prior.fastest import fastest
from lpds_ros.prior.runtime import ProviderError
from lpds_ros.prior.session import DecoderSession

WHAT = {"bundle": "a" * 64, "variant": "fp32", "threads": 1, "batch": 1}


@pytest.fixture
def several(monkeypatch):
    """Three providers are listed; `times` says what each would take, `opened` which were measured."""
    times, opened = {"cpu": 3.0, "openvino": 2.0, "cuda": 1.0}, []
    monkeypatch.setattr(choosing, "listed", lambda: [*times, "tensorrt"])

    def measure(calls):
        opened.append(sorted(calls))
        return {name: times[name] for name in calls}

    monkeypatch.setattr(choosing, "paced_ms", measure)
    return times, opened


def test_the_fastest_is_measured_once_and_kept(several, tmp_path):
    times, opened = several
    file = tmp_path / "providers.json"
    for _ in range(2):
        assert fastest(list(runtime.PROVIDERS), WHAT, lambda name: name, file) == "cuda"
    assert opened == [["cpu", "cuda", "openvino"]]  # TensorRT would build an engine: never by itself
    times["cpu"] = 0.5
    assert fastest(list(runtime.PROVIDERS), WHAT | {"threads": 2}, lambda name: name, file) == "cpu"
    assert fastest(list(runtime.PROVIDERS), WHAT, lambda name: name, file) == "cuda"
    assert len(json.loads(file.read_text())) == 2


def test_one_that_does_not_work_is_dropped_and_none_is_an_error(several, tmp_path):
    def open_(name):
        if name != "openvino":
            raise ProviderError(f"{name} is dead")
        return name

    assert fastest(["cpu", "openvino", "cuda"], WHAT, open_, tmp_path / "kept.json") == "openvino"

    def refuse(name):
        raise ProviderError("dead")

    with pytest.raises(ProviderError, match="none of the providers cpu, openvino"):
        fastest(["cpu", "openvino"], WHAT, refuse, tmp_path / "other.json")


def test_a_broken_file_of_choices_is_measured_over(several, tmp_path):
    file = tmp_path / "providers.json"
    for content in (b"\x00broken", b"[]", b'{"x": 1}'):
        file.write_bytes(content)
        assert fastest(["cpu", "cuda"], WHAT, lambda name: name, file) == "cuda"


def test_a_single_provider_is_not_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(choosing, "listed", lambda: ["cpu"])
    monkeypatch.setattr(choosing, "paced_ms", lambda calls: pytest.fail("measured"))
    assert fastest(["cpu", "cuda"], WHAT, lambda name: name, tmp_path / "none.json") == "cpu"
    assert not (tmp_path / "none.json").exists()


def test_bound_buffers_give_what_plain_calls_give_and_answers_stay(tiny_bundle):
    plain, bound = DecoderSession(tiny_bundle, "cpu"), DecoderSession(tiny_bundle, "cpu", batch=2)
    rng, contract = np.random.default_rng(0), tiny_bundle.contract
    kept = []
    for _ in range(3):
        state = rng.standard_normal((2, contract.state_size)).astype(np.float32)
        noise = rng.standard_normal((2, *contract.noise_shape)).astype(np.float32)
        kept.append((bound.decode(state, noise), plain.decode(state, noise)))
    for found, expected in kept:
        assert np.array_equal(found, expected)


def test_a_fixed_batch_on_a_gpu_is_a_cuda_graph_and_engines_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert runtime._with_options("cuda", 1, 1) == [("CUDAExecutionProvider", {"enable_cuda_graph": "1"})]
    assert runtime._with_options("cuda", 1, None) == [("CUDAExecutionProvider", {})]
    (name, options), then = runtime._with_options("tensorrt", 1, 1)
    assert name == "TensorrtExecutionProvider" and then == "CUDAExecutionProvider"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path / "lpds_ros" / "tensorrt")
    assert options["trt_engine_cache_enable"] == options["trt_cuda_graph_enable"] == "1"
    assert "trt_cuda_graph_enable" not in runtime._with_options("tensorrt", 1, None)[0][1]


def test_a_kept_one_that_no_longer_works_is_not_used_and_comes_back_when_mended(several, tmp_path):
    file, dead = tmp_path / "providers.json", set()

    def open_(name):
        if name in dead:
            raise ProviderError(f"{name} is dead")
        return name

    names = ["cpu", "cuda"]
    assert fastest(names, WHAT, open_, file) == "cuda"
    dead.add("cuda")
    assert fastest(names, WHAT, open_, file) == "cpu"
    dead.clear()
    assert fastest(names, WHAT, open_, file) == "cuda"
