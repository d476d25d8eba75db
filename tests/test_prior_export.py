"""The exported graphs: both forms of every network and kind compute what torch computes; a bad int8 never gets out."""

import dataclasses
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from synthetic_demos import small_contract, synthetic_demos
from test_prior_networks import SHAPE, SMALL, network_of

from lpds_ros.config import ConfigError
from lpds_ros.prior import export as exporting
from lpds_ros.prior import quantise as quantising
from lpds_ros.prior.assemble import assemble
from lpds_ros.prior.bundle import BundleError, load_bundle
from lpds_ros.prior.checkpoint import load_checkpoint
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.prior.dataset import Normaliser
from lpds_ros.prior.export import export
from lpds_ros.prior.fold import fold_norms
from lpds_ros.prior.measure import rmse
from lpds_ros.prior.parts import export_conditioner, export_step
from lpds_ros.prior.quantise import as_matmul, outermost, quantise
from lpds_ros.prior.runtime import ProviderError, open_model
from lpds_ros.prior.sampler import Decoder
from lpds_ros.prior.session import DecoderSession
from lpds_ros.prior.train import make_decoder, train
from lpds_ros.resources import resource

KINDS = {
    "ddim, sample": {},
    "ddim, noise": {"prediction": "noise", "steps": 4},
    "flow, euler": {"kind": "flow"},
    "flow, midpoint": {"kind": "flow", "solver": "midpoint", "steps": 4},
}


def decoder_of(config):
    """A decoder with no weight at zero, a normalisation that is no identity, and bounds that bind now and then."""
    f = lambda *values: np.array(values, np.float32)  # noqa: E731
    state = (f(0.5, 0.0, -1.0, 0.1, 0.0), f(2.0, 1.0, 0.5, 0.1, 1.0))
    action = (f(0.1, 0.0, -0.2), f(0.5, 1.0, 2.0), f(-0.3, -1.0, -2.0), f(0.5, 0.9, 1.5))
    return Decoder(network_of(config), Normaliser(*state, *action), config, SHAPE).eval().requires_grad_(False)


@pytest.fixture(scope="module", params=SMALL, ids=SMALL)
def part(request):
    """(config, its step as ONNX); the step is that of every kind."""
    config = SMALL[request.param]
    return config, export_step(decoder_of(config))


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_both_forms_compute_what_torch_computes(part, options):
    config, step = dataclasses.replace(part[0], **options), part[1]
    decoder = decoder_of(config)
    conditioner = export_conditioner(decoder)
    models = {
        "loop": assemble(conditioner, fold_norms(step), decoder, "loop"),
        "unrolled": assemble(conditioner, step, decoder, "unrolled"),
    }
    for form, model in models.items():
        looped = any(node.op_type == "Loop" for node in model.graph.node)
        assert looped == (form == "loop")
        for fixed, batches in ((None, (1, 7)), (3, (3,))):
            session = open_model(model.SerializeToString(), "cpu", batch=fixed)
            for batch in batches:
                observation, noise = exporting.cases(decoder, batch, seed=batch)
                expected = exporting.run_torch(decoder, observation, noise)
                found = session.run(["action"], {"observation": observation, "noise": noise})[0]
                assert np.abs(found - expected).max() <= 1e-4, (form, fixed, batch)
                assert expected.std() > 0.1, "a constant would prove nothing"


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_rows_that_are_given_come_out_and_the_others_go_on_from_them(part, options):
    config, step = dataclasses.replace(part[0], **options), part[1]
    decoder = decoder_of(config)
    conditioner = export_conditioner(decoder)
    inputs = exporting.cases(decoder, 20, seed=3)
    prefix, weight = exporting.given_rows(decoder, 20, seed=4)
    plain, completed = exporting.run_torch(decoder, *inputs), exporting.run_torch(decoder, *inputs, prefix, weight)
    assert np.abs(completed - prefix)[weight == 1.0].max() <= 1e-5, "a row of weight 1 is the one that was given"
    assert np.abs(completed - plain)[weight == 0.0].max() > 1e-2, "the others were made together with it"
    none = weight.max(1) == 0.0
    assert none.any() and np.array_equal(completed[none], plain[none])
    for form in ("loop", "unrolled"):
        model = assemble(conditioner, step, decoder, form, prefix=True)
        feed = dict(zip(("observation", "noise", "prefix", "weight"), (*inputs, prefix, weight)))
        session = open_model(model.SerializeToString(), "cpu")
        assert np.abs(session.run(["action"], feed)[0] - completed).max() <= 1e-4, form
        feed["weight"] = np.zeros_like(weight)
        assert np.abs(session.run(["action"], feed)[0] - plain).max() <= 1e-4, form


def test_the_loop_holds_the_step_once_and_the_other_shares_its_weights(part):
    config, step = dataclasses.replace(part[0], steps=10), part[1]
    decoder = decoder_of(config)
    conditioner = export_conditioner(decoder)
    sizes = [len(assemble(conditioner, step, decoder, form).SerializeToString()) for form in ("loop", "unrolled")]
    weights = sum(tensor.ByteSize() for model in (conditioner, step) for tensor in model.graph.initializer)
    graph_bytes = len(step.SerializeToString()) - sum(tensor.ByteSize() for tensor in step.graph.initializer)
    assert sizes[0] < weights + 3 * graph_bytes + 20_000 and sizes[1] < weights + 20 * graph_bytes + 20_000


def test_folding_takes_the_nodes_behind_every_norm(part):
    config, step = part
    folded = fold_norms(step)
    norms = sum(node.op_type == "LayerNormalization" for node in step.graph.node)
    assert len(step.graph.node) - len(folded.graph.node) == 2 * norms
    assert (norms > 0) == (config.network != "mlp")


def test_int8_is_near_and_its_weights_are_int8(part):
    config, step = part
    decoder = decoder_of(config)
    small = quantise(fold_norms(step), reduce_range=not quantising.has_vnni())
    model = assemble(export_conditioner(decoder), small, decoder, "loop")
    weights = {tensor.name: tensor.dims for tensor in as_matmul(step).graph.initializer}
    products = [node for node in as_matmul(step).graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    edges = [list(weights[node.input[1]]) for node in products if node.name in outermost(as_matmul(step))]
    expected = {"mlp": [[24, 16], [16, 24]], "unet": [[5 * 3, 8], [3, 8], [8, 3]], "dit": [[3, 16], [16, 3]]}
    assert edges == expected[config.network], "what reads the chunk and what writes it stays as it is"
    small = [tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2]
    assert len(small) == len(products) - len(edges) > 0
    observation, noise = exporting.cases(decoder, 64, seed=0, reach=1.0)
    found = open_model(model.SerializeToString(), "cpu").run(["action"], {"observation": observation, "noise": noise})[0]
    expected = exporting.run_torch(decoder, observation, noise)
    assert 0.0 < rmse(found, expected, decoder.action_scale.numpy()) < 0.2  # untrained: the gate is for trained ones


def test_the_error_is_in_standard_deviations_of_each_dimension():
    expected = np.random.default_rng(0).standard_normal((500, 4, 2)).astype(np.float32) * np.array([1.0, 10.0], np.float32)
    off = expected + np.array([0.1, 1.0], np.float32)
    assert rmse(off, expected, np.ones(2)) == pytest.approx(0.1, rel=0.1)
    still = np.zeros((5, 4, 1), np.float32)
    assert rmse(still + 0.01, still, np.array([2.0])) == pytest.approx(0.5), "half a hundredth of half the range"


# Bundles with variants

CONTRACT = small_contract()
LIFT = "72d56a42855d32acc0bc8269b036105a2a54e0e897ab435bac12c1bc28cbe356"  # the prior that actors in the field were learned for
TINY = PriorConfig(width=32, blocks=1, updates=150, batch=32, warmup_updates=5, evaluate_every=150, ema_decay=0.9)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(synthetic_demos(CONTRACT), CONTRACT, tmp_path_factory.mktemp("run") / "prior", TINY)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, trained):
    return export(trained, tmp_path_factory.mktemp("models") / "lift", variants=("int8",)).path


@pytest.fixture
def bundle_path(tmp_path, exported):
    return shutil.copytree(exported, tmp_path / "lift")


def test_the_manifest_names_each_variant_with_its_error_and_time(exported):
    bundle = load_bundle(exported)
    assert list(bundle.variants) == ["fp32", "int8"]
    fp32, int8 = bundle.variants.values()
    assert fp32.files == {"loop": "decoder.onnx", "unrolled": "decoder-unrolled.onnx"}
    assert int8.files == {"loop": "decoder-int8.onnx"} and int8.states == "training range"
    assert fp32.rmse < 1e-4 < int8.rmse < exporting.GATE
    assert fp32.latency_ms.keys() == fp32.files.keys() and min(fp32.latency_ms.values()) > 0.0
    assert set(bundle.info.files) == {"decoder.safetensors", "golden.npz", *fp32.files.values(), *int8.files.values()}


def test_a_session_runs_the_variant_it_is_asked_for(trained, exported):
    bundle, decoder = load_bundle(exported), make_decoder(load_checkpoint(trained))
    observation, noise = exporting.cases(decoder, 5, seed=1, reach=1.0)
    expected = exporting.run_torch(decoder, observation, noise)
    off = {}
    for variant in ("fp32", "int8"):
        session = DecoderSession(bundle, "cpu", variant=variant)
        assert (session.variant, session.form, session.provider) == (variant, "loop", "cpu")
        off[variant] = np.abs(session.decode(observation, noise) - expected).max()
    assert off["fp32"] < 1e-4 < off["int8"] < 0.3


def test_a_variant_that_is_not_there_or_not_for_the_provider_is_refused(exported, trained, tmp_path):
    plain = export(trained, tmp_path / "plain")
    with pytest.raises(BundleError, match=r"no variant 'int8', it has fp32: .*--variants int8"):
        DecoderSession(plain, "cpu", variant="int8")
    with pytest.raises(ProviderError, match="variant 'int8' is for the CPU"):
        DecoderSession(load_bundle(exported), "cuda", variant="int8")
    with pytest.raises(PriorError, match="fp8.*int8"):
        export(trained, tmp_path / "other", variants=("fp8",))


def test_a_fixed_batch_takes_that_batch_alone(exported):
    bundle = load_bundle(exported)
    session = DecoderSession(bundle, "cpu", batch=3)
    observation, noise = np.zeros((3, CONTRACT.state_size), np.float32), np.zeros((3, *CONTRACT.noise_shape), np.float32)
    assert session.decode(observation, noise).shape == (3, *CONTRACT.noise_shape)
    with pytest.raises(ValueError, match="fixed to batches of 3, got one of 2"):
        session.decode(observation[:2], noise[:2])
    with pytest.raises(ValueError, match="at least 1"):
        DecoderSession(bundle, "cpu", batch=0)


def test_a_bad_int8_is_refused_and_leaves_nothing(tmp_path, trained, monkeypatch):
    def coarse(step, *, reduce_range):
        """Weights of three bits: what a saturating processor or an unlucky network makes of int8."""
        model = quantise(step, reduce_range=reduce_range)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 2:
                array = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array((array // 32 * 32).astype(np.int8), tensor.name))
        return model

    monkeypatch.setattr(exporting, "quantise", coarse)
    with pytest.raises(PriorError, match=r"variant int8 is off by \d+\.\d %.*more than 3 %.*export without it"):
        export(trained, tmp_path / "models" / "lift", variants=("int8",))
    assert list((tmp_path / "models").iterdir()) == []


def test_an_int8_that_this_processor_computes_otherwise_is_refused_at_load(exported, monkeypatch):
    bundle = load_bundle(exported)
    session = onnxruntime.InferenceSession(bundle.read("decoder-int8.onnx"), providers=["CPUExecutionProvider"])

    class Saturating:
        def run(self, names, feed):
            return [action * 0.5 for action in session.run(names, feed)]

    monkeypatch.setattr("lpds_ros.prior.session.open_model", lambda *a, **k: Saturating())
    with pytest.raises(BundleError, match=r"decoder-int8.onnx.*golden case.*variant 'fp32'"):
        DecoderSession(bundle, "cpu", variant="int8")


@pytest.mark.parametrize("name", ["decoder-unrolled.onnx", "decoder-int8.onnx"])
def test_a_flipped_byte_in_any_variant_is_refused(bundle_path, name):
    content = bytearray((bundle_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: sha256"):
        load_bundle(bundle_path)


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda v: v.pop("fp32"), "variants lists no fp32"),
        (lambda v: v["int8"].update(files={"loop": "elsewhere.onnx"}), "files does not list"),
        (lambda v: v["int8"].update(files={"scan": "decoder.onnx"}), "forms among"),
        (lambda v: v["int8"].update(rmse=0.0), "manifest has digest"),
    ],
)
def test_an_edited_variant_is_refused(bundle_path, change, text):
    file = bundle_path / "bundle.yaml"
    tree = yaml.safe_load(file.read_text())
    change(tree["variants"])
    file.write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=text):
        load_bundle(bundle_path)


def test_a_bundle_of_before_loads_as_it_is():
    """models/lift was exported before there were variants: one graph, no such key, its digests as they were."""
    bundle = load_bundle(resource("models/lift"))
    assert "variants" not in (bundle.path / "bundle.yaml").read_text()
    assert bundle.digest == LIFT and list(bundle.variants) == ["fp32"]
    assert DecoderSession(bundle, "cpu").decode(np.zeros((1, 14), np.float32), np.zeros((1, 8, 4), np.float32)).shape == (1, 8, 4)
    with pytest.raises(BundleError, match="no variant 'int8'"):
        DecoderSession(bundle, "cpu", variant="int8")


def test_a_bundle_that_takes_given_rows(tmp_path, trained, exported):
    bundle, decoder = export(trained, tmp_path / "given", prefix=True), make_decoder(load_checkpoint(trained))
    assert bundle.digest != load_bundle(exported).digest and set(bundle.info.files) == {
        "decoder.onnx", "decoder-unrolled.onnx", "decoder.safetensors", "golden.npz"
    }  # fmt: skip
    observation, noise = exporting.cases(decoder, 2, seed=1)
    prefix, weight = exporting.given_rows(decoder, 2, seed=1)
    plain = exporting.run_torch(decoder, observation, noise)
    completed = exporting.run_torch(decoder, observation, noise, prefix, weight)
    assert np.abs(completed - plain).max() > 0.01
    for batch in (None, 2):
        session = DecoderSession(bundle, "cpu", batch=batch)
        assert session.takes_prefix
        assert np.abs(session.decode(observation, noise, prefix, weight) - completed).max() <= 1e-4
        assert np.abs(session.decode(observation, noise) - plain).max() <= 1e-4, "nothing is left of what was given before"
        with pytest.raises(ValueError, match=r"rows were given as \(1,"):
            session.decode(observation, noise, prefix[:1], weight)
    without = DecoderSession(load_bundle(exported), "cpu")
    assert not without.takes_prefix
    with pytest.raises(ValueError, match="lpds prior export --prefix"):
        without.decode(observation, noise, prefix, weight)


def test_a_graph_that_completes_otherwise_than_its_golden_cases_is_refused(tmp_path, trained, monkeypatch):
    bundle = export(trained, tmp_path / "given", prefix=True)
    whole = onnxruntime.InferenceSession(bundle.read("decoder.onnx"), providers=["CPUExecutionProvider"])

    class Forgetful:
        def run(self, names, feed):
            return whole.run(names, feed | {"weight": np.zeros_like(feed["weight"])})

    monkeypatch.setattr("lpds_ros.prior.session.open_model", lambda *a, **k: Forgetful())
    with pytest.raises(BundleError, match="golden case"):
        DecoderSession(bundle, "cpu")


def test_a_dit_travels_the_whole_way(tmp_path):
    config = dataclasses.replace(SMALL["dit"], updates=40, batch=16, warmup_updates=2, evaluate_every=40, kind="flow")
    run = train(synthetic_demos(CONTRACT), CONTRACT, tmp_path / "run", config)
    bundle, decoder = export(run, tmp_path / "models" / "dit"), make_decoder(load_checkpoint(run))
    observation, noise = exporting.cases(decoder, 2, seed=0)
    expected = exporting.run_torch(decoder, observation, noise)
    assert np.abs(DecoderSession(bundle, "cpu", batch=2).decode(observation, noise) - expected).max() <= 1e-4
    assert '"network": "dit"' in bundle.info.training.config
