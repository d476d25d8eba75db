"""Training, export, bundle and session: what is exported is what was trained, whole, or nothing at all."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from synthetic_demos import small_contract, synthetic_demos

from lpds_ros.config import ConfigError
from lpds_ros.contract import ContractError
from lpds_ros.prior import export as exporting
from lpds_ros.prior.bundle import BundleError, Manifest, load_bundle
from lpds_ros.prior.checkpoint import load_checkpoint
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.prior.export import export
from lpds_ros.prior.runtime import ProviderError
from lpds_ros.prior.session import DecoderSession
from lpds_ros.prior.train import make_decoder, train

TINY = PriorConfig(
    width=16, blocks=2, updates=12, batch=16, warmup_updates=2, evaluate_every=6, checkpoint_every=5, seed=3
)
CONTRACT = small_contract()


@pytest.fixture(scope="module")
def demos():
    return synthetic_demos(CONTRACT)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demos):
    return train(demos, CONTRACT, tmp_path_factory.mktemp("run") / "prior", TINY)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, trained):
    return export(trained, tmp_path_factory.mktemp("models") / "lift").path


@pytest.fixture
def bundle_path(tmp_path, exported):
    return shutil.copytree(exported, tmp_path / "lift")


def tensors(directory):
    return load_checkpoint(directory).tensors


# A flow's loss holds the noise itself, most of which nothing can predict.
@pytest.mark.parametrize("kind, share", [("diffusion", 0.75), ("flow", 0.92)])
def test_training_lowers_the_held_out_loss(tmp_path, demos, kind, share):
    config = dataclasses.replace(TINY, kind=kind, updates=150, evaluate_every=10, width=32, ema_decay=0.9)
    history = load_checkpoint(train(demos, CONTRACT, tmp_path / "run", config)).history
    assert history[-1]["held_out_loss"] < share * history[0]["held_out_loss"]


def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path, demos, trained):
    asked = iter([False] * 6 + [True])
    run = train(demos, CONTRACT, tmp_path / "run", TINY, should_stop=lambda: next(asked))
    assert load_checkpoint(run).update == 7
    train(demos, CONTRACT, run, resume=True)
    whole, resumed = tensors(trained), tensors(run)
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert len(list(run.iterdir())) == 2, "one index and one tensor file stay"


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(tmp_path, demos, trained):
    again = train(demos, CONTRACT, tmp_path / "again", TINY)
    other = train(demos, CONTRACT, tmp_path / "other", dataclasses.replace(TINY, seed=4))
    assert torch.equal(tensors(again)["ema.head.weight"], tensors(trained)["ema.head.weight"])
    assert not torch.equal(tensors(other)["ema.head.weight"], tensors(trained)["ema.head.weight"])


def test_resuming_with_other_demonstrations_or_over_a_run_is_refused(tmp_path, demos, trained):
    with pytest.raises(PriorError, match="already holds"):
        train(demos, CONTRACT, trained, TINY)
    with pytest.raises(PriorError, match="was trained on demonstrations"):
        train(demos[:2], CONTRACT, trained, resume=True)
    with pytest.raises(PriorError, match="another configuration"):
        train(demos, CONTRACT, trained, dataclasses.replace(TINY, width=8), resume=True)
    with pytest.raises(ContractError, match="contract"):
        other = dataclasses.replace(CONTRACT, rate_hz=10.0)
        train(demos, other, trained, resume=True)


def test_a_damaged_checkpoint_is_refused(tmp_path, trained):
    run = shutil.copytree(trained, tmp_path / "run")
    file = next(run.glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(PriorError, match="sha256"):
        load_checkpoint(run)


def test_the_session_computes_what_torch_computes_at_any_batch(trained, exported):
    bundle, decoder = load_bundle(exported), make_decoder(load_checkpoint(trained))
    session = DecoderSession(bundle)
    for batch in (1, 2, 33):
        state, noise = exporting.cases(decoder, batch, seed=batch)
        expected = exporting.run_torch(decoder, state, noise)
        assert np.abs(session.decode(state, noise) - expected).max() <= 1e-5
        assert (expected >= bundle.action_low - 1e-6).all() and (expected <= bundle.action_high + 1e-6).all()
    assert session.provider == "cpu"


def test_the_bundle_says_what_it_is(exported, demos):
    bundle = load_bundle(exported)
    assert bundle.contract == CONTRACT and bundle.kind == "diffusion" and bundle.name == "lift"
    assert bundle.sampler.time_steps[0] == bundle.sampler.train_steps - 1
    assert bundle.info.training.demos == len(demos)
    assert np.array_equal(bundle.state_shift, load_file(exported / "decoder.safetensors")["state_shift"].numpy())
    assert {len(action) for _, _, action in bundle.golden()} == {1, 8}
    assert b"/home/" not in bundle.read("decoder.onnx") and b".py" not in bundle.read("decoder.onnx")


def test_a_wrong_shape_is_refused(exported):
    session = DecoderSession(load_bundle(exported))
    with pytest.raises(ValueError, match="decode takes"):
        session.decode(np.zeros((2, CONTRACT.state_size), np.float32), np.zeros((1, *CONTRACT.noise_shape), np.float32))
    with pytest.raises(ValueError, match="decode takes"):
        session.decode(np.zeros((1, 3), np.float32), np.zeros((1, *CONTRACT.noise_shape), np.float32))


@pytest.mark.parametrize("provider", ["cuda", "openvino", "gpu"])
def test_a_provider_that_is_not_there_is_an_error_not_a_fallback(exported, provider):
    import onnxruntime

    if provider == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ProviderError, match=provider):
        DecoderSession(load_bundle(exported), provider)


def test_a_runtime_that_silently_uses_another_provider_is_refused(exported, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.raises(ProviderError, match="cuda"):
        DecoderSession(load_bundle(exported), "cuda")
    assert DecoderSession(load_bundle(exported), "auto").provider == "cpu"


@pytest.mark.parametrize("name", ["decoder.onnx", "decoder.safetensors", "golden.npz"])
def test_a_flipped_byte_is_refused_with_both_digests(bundle_path, name):
    file = bundle_path / name
    recorded = load_bundle(bundle_path).info.files[name].sha256
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: sha256 [0-9a-f]{{64}}.*{recorded}"):
        load_bundle(bundle_path)


def test_a_byte_flipped_after_loading_is_refused_by_the_session(bundle_path):
    bundle = load_bundle(bundle_path)
    content = bytearray(bundle.decoder_onnx.read_bytes())
    content[-20] ^= 1
    bundle.decoder_onnx.write_bytes(content)
    with pytest.raises(BundleError, match="sha256"):
        DecoderSession(bundle)


def test_a_missing_or_truncated_file_is_refused(bundle_path):
    file = bundle_path / "golden.npz"
    content = file.read_bytes()
    file.write_bytes(content[:-3])
    with pytest.raises(BundleError, match=f"{len(content) - 3} bytes, .* says {len(content)}"):
        load_bundle(bundle_path)
    file.unlink()
    with pytest.raises(BundleError, match="golden.npz: missing"):
        load_bundle(bundle_path)
    (bundle_path / "bundle.yaml").unlink()
    with pytest.raises(BundleError, match="no bundle.yaml"):
        load_bundle(bundle_path)


def edit(bundle_path, change, reseal=False):
    """Apply change(tree) to bundle.yaml, optionally with a manifest digest that fits, as an adversary would."""
    tree = yaml.safe_load((bundle_path / "bundle.yaml").read_text())
    change(tree)
    if reseal:
        from lpds_ros.config import build

        tree["manifest_digest"] = build(Manifest, tree).own_digest()
    (bundle_path / "bundle.yaml").write_text(yaml.safe_dump(tree))


def test_an_edited_contract_is_refused(bundle_path):
    edit(bundle_path, lambda tree: tree["contract"].update(rate_hz=30.0), reseal=True)
    with pytest.raises(BundleError, match="contract has digest"):
        load_bundle(bundle_path)


def test_edited_normalisation_is_refused(bundle_path):
    edit(bundle_path, lambda tree: tree["state_shift"].__setitem__(0, 0.123))
    with pytest.raises(BundleError, match="manifest has digest"):
        load_bundle(bundle_path)


@pytest.mark.parametrize("name", ["../lift/golden.npz", "/etc/hostname", "actor/../golden.npz", ".hidden", ""])
def test_a_file_outside_the_folder_is_never_opened(bundle_path, name):
    edit(bundle_path, lambda tree: tree["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}), reseal=True)
    with pytest.raises(BundleError, match="plain file name"):
        load_bundle(bundle_path)


def test_an_unknown_key_is_refused(bundle_path):
    edit(bundle_path, lambda tree: tree.update(opsett=3))
    with pytest.raises(ConfigError, match="opsett.*opset"):
        load_bundle(bundle_path)


def test_a_golden_case_the_decoder_does_not_reproduce_is_refused(bundle_path):
    with np.load(bundle_path / "golden.npz") as arrays:
        changed = dict(arrays)
    changed["action_8"][3, 0, 0] += 1e-3
    np.savez(bundle_path / "golden.npz", **changed)
    entry = exporting._entry(bundle_path / "golden.npz")
    edit(bundle_path, lambda tree: tree["files"].update({"golden.npz": dataclasses.asdict(entry)}), reseal=True)
    with pytest.raises(BundleError, match="golden case 8 is off by"):
        DecoderSession(load_bundle(bundle_path))


def test_golden_arrays_are_never_unpickled(bundle_path):
    np.savez(bundle_path / "golden.npz", action_1=np.array([{"a": 1}], dtype=object))
    entry = exporting._entry(bundle_path / "golden.npz")
    edit(bundle_path, lambda tree: tree["files"].update({"golden.npz": dataclasses.asdict(entry)}), reseal=True)
    with pytest.raises(BundleError, match="not readable"):
        DecoderSession(load_bundle(bundle_path))


@pytest.fixture
def dishonest_torch(monkeypatch, exported):
    """The reference is off by more than an export may be; the graph is the finished one, to save time."""
    honest, graph = exporting.run_torch, (exported / "decoder.onnx").read_bytes()
    monkeypatch.setattr(exporting, "to_onnx", lambda decoder, variants, prefix: {"fp32": {"loop": graph}})
    monkeypatch.setattr(exporting, "run_torch", lambda *a: honest(*a) + 2e-4)


def test_an_export_that_differs_from_torch_fails_and_leaves_nothing(tmp_path, trained, dishonest_torch):
    with pytest.raises(PriorError, match="export failed, no bundle"):
        export(trained, tmp_path / "models" / "lift")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_failed_export_keeps_the_bundle_that_was_there(trained, bundle_path, dishonest_torch):
    before = load_bundle(bundle_path).digest
    with pytest.raises(PriorError, match="exists"):
        export(trained, bundle_path)
    with pytest.raises(PriorError, match="export failed"):
        export(trained, bundle_path, overwrite=True)
    assert load_bundle(bundle_path).digest == before


def test_exporting_twice_gives_the_same_prior(tmp_path, trained, exported):
    assert export(trained, tmp_path / "lift").digest == load_bundle(exported).digest


def test_bundle_and_session_need_no_torch():
    import subprocess
    import sys

    code = "import sys, lpds_ros.prior.session, lpds_ros.prior.bundle; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_the_checkpoint_index_is_plain_json(trained):
    index = json.loads((trained / "checkpoint.json").read_text())
    assert PriorConfig(**index["config"]) == TINY
