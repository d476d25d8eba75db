"""Priors that see: encoders trained with the denoiser or given, in training, in the bundle and at run time."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from pictured import SIDE, SMALL, pictured_demos, small_contract

from lpds_ros.config import to_yaml
from lpds_ros.contract import load_contract
from lpds_ros.data.demonstration import DemoError
from lpds_ros.prior.bundle import BundleError, FileEntry, load_bundle
from lpds_ros.prior.checkpoint import load_checkpoint
from lpds_ros.prior.config import PriorError
from lpds_ros.prior.encoders import EncoderSession
from lpds_ros.prior.export import export
from lpds_ros.prior.export_encoders import demonstrated_states
from lpds_ros.prior.given import Given, encode_demos, read_given
from lpds_ros.prior.samples import Samples
from lpds_ros.prior.train import make_decoder, train
from lpds_ros.prior.vision import ImageEncoder, shifted
from lpds_ros.resources import resource


@pytest.fixture(scope="module")
def contract():
    return small_contract()


def test_keypoints_are_where_the_picture_shows_the_thing():
    torch.manual_seed(0)
    encoder = ImageEncoder(1, (8,))
    with torch.no_grad():  # the strongest answer is to brightness
        encoder.stem.weight.fill_(0.02)
        encoder.stem.bias.zero_()
        encoder.to_maps.weight.fill_(40.0)
    images = torch.zeros(3, 33, 33, 3, dtype=torch.uint8)
    for i, (row, column) in enumerate(((4, 28), (16, 16), (28, 4))):
        images[i, row - 1 : row + 2, column - 1 : column + 2] = 255
    found = encoder(images).detach().numpy()
    np.testing.assert_allclose(found, [[0.75, -0.75], [0.0, 0.0], [-0.75, 0.75]], atol=0.07)


def test_a_moved_picture_holds_what_it_held_and_repeats_its_edge():
    ramp = torch.arange(8, dtype=torch.uint8)[None, None, :, None].expand(64, 8, 8, 3).contiguous()
    moved = shifted(ramp, 2, torch.Generator().manual_seed(0))
    starts = moved[:, 0, 2, 0].to(int) - 2
    assert set(starts.tolist()) == {-2, -1, 0, 1, 2}
    for picture, start in zip(moved[..., 0], starts.tolist()):
        assert picture[3].tolist() == [min(max(c + start, 0), 7) for c in range(8)]


def test_each_start_of_a_batch_sees_its_own_ticks_pictures(contract, tmp_path):
    """With two observed ticks the features of the older one come first, and the first tick of an episode is repeated."""
    contract = small_contract(observed=2)
    demos = pictured_demos(contract, count=3)
    for k, demo in enumerate(demos):
        for t in range(len(demo)):
            demo.images["front"][t], demo.images["wrist"][t] = 10 * k + t, 100 + 10 * k + t
    normaliser = type("None", (), {"normalise_action": lambda s, a: a, "normalise_state": lambda s, x: x.astype(np.float32)})()
    samples = Samples(demos, contract, normaliser, ("front", "wrist"), tmp_path)
    encoders = {name: lambda images: images[:, 0, 0, :1].float().repeat(1, 4) for name in contract.images}
    states = samples.state(torch.arange(len(samples)), encoders).numpy().reshape(len(samples), 2, contract.observation_size)
    slices = contract.feature_slices()
    row = 0
    for k, demo in enumerate(demos):
        for t in range(len(demo)):
            ticks = [max(t - 1, 0), t]
            assert states[row][:, slices["front_features"]].tolist() == [[10 * k + i] * 4 for i in ticks]
            assert states[row][:, slices["wrist_features"]].tolist() == [[100 + 10 * k + i] * 4 for i in ticks]
            assert states[row, 1, :3].tolist() == demo.observations[t, :3].tolist()
            row += 1


def test_training_sees_where_the_thing_is(contract, tmp_path):
    """The reach depends on the pictures alone: a prior that does not see them can only learn the mean."""
    demos = pictured_demos(contract, count=24)
    losses = {}
    for sees in (True, False):
        if not sees:
            demos = [replace(d, images={n: np.full_like(p, 99) for n, p in d.images.items()}) for d in demos]
        config = replace(SMALL, updates=80, batch=32, width=32, evaluate_every=80, shift_px=0)
        quick = replace(config, learning_rate=3e-3, held_out_share=0.25, ema_decay=0.9)
        out = train(demos, contract, tmp_path / str(sees), quick)
        losses[sees] = load_checkpoint(out).history[-1]["held_out_loss"]
    assert losses[True] < 0.5 * losses[False]


@pytest.mark.parametrize("network", ["mlp", "unet", "dit"])
def test_an_interrupted_run_ends_with_the_very_weights(network, contract, tmp_path):
    sizes = {"mlp": {}, "unet": {"blocks": 3, "channels": (8, 16), "groups": 4}, "dit": {"heads": 2}}[network]
    config = replace(SMALL, network=network, **sizes)
    demos, asked = pictured_demos(contract), iter([False, True])
    whole = train(demos, contract, tmp_path / "whole", config)
    parts = train(demos, contract, tmp_path / "parts", config, should_stop=lambda: next(asked))
    assert load_checkpoint(parts).update == 2
    train(demos, contract, parts, resume=True)
    ends = [load_checkpoint(folder).part("ema") for folder in (whole, parts)]
    assert ends[0].keys() == ends[1].keys() and any(name.startswith("encoders.wrist") for name in ends[0])
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())


def test_a_demonstration_without_pictures_cannot_train_an_encoder(contract, tmp_path):
    demos = [replace(demo, images={}) for demo in pictured_demos(contract)]
    with pytest.raises(DemoError, match="no pictures of stream 'front'"):
        train(demos, contract, tmp_path, SMALL)
    with pytest.raises(PriorError, match="keypoints of two numbers"):
        train(pictured_demos(small_contract(size=3)), small_contract(size=3), tmp_path, SMALL)


# -- the bundle ------------------------------------------------------------------------------------------------------


def test_the_bundle_encodes_as_torch_did_and_its_decoder_takes_the_features(pictured_bundle, contract):
    bundle = pictured_bundle
    session, checkpoint = EncoderSession(bundle), load_checkpoint(bundle.path.parent / "run")
    encoders = make_decoder(checkpoint).network.encoders
    for name in contract.images:
        picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        with torch.no_grad():
            expected = encoders[name](torch.from_numpy(picture[None]))[0].numpy()
        np.testing.assert_allclose(session.encode(name, picture), expected, atol=1e-5)
    assert bundle.info.encoders == {"front": "encoder-front.onnx", "wrist": "encoder-wrist.onnx"}
    assert set(bundle.info.encoders.values()) < set(bundle.info.files)


def test_variants_are_judged_on_states_that_hold_what_the_encoders_saw(pictured_bundle, contract):
    demo = pictured_demos(contract)[0]
    states = demonstrated_states(pictured_bundle.path.parent / "run", [demo])
    session, where = EncoderSession(pictured_bundle), contract.feature_slices()["wrist_features"]
    expected = [session.encode("wrist", picture) for picture in demo.images["wrist"]]
    np.testing.assert_allclose(states[:, where], expected, atol=1e-5)


def test_an_encoder_that_answers_otherwise_is_refused(pictured_bundle, tmp_path):
    bundle = load_bundle(shutil.copytree(pictured_bundle.path, tmp_path / "altered"))
    model = onnx.load(bundle.path / "encoder-front.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith("to_maps.weight"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.5, tensor.name))
    content = model.SerializeToString()
    (bundle.path / "encoder-front.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="encoder-front.onnx"):
        load_bundle(bundle.path)  # its digest is another
    files = {**bundle.info.files, "encoder-front.onnx": FileEntry(hashlib.sha256(content).hexdigest(), len(content))}
    info = replace(bundle.info, files=files)
    info = replace(info, manifest_digest=info.own_digest())
    (bundle.path / "bundle.yaml").write_text(to_yaml(json.loads(json.dumps(info.tree()))))
    with pytest.raises(BundleError, match="a golden picture of stream 'front' is off by"):
        EncoderSession(load_bundle(bundle.path))


def test_a_bundle_without_images_has_no_entry_for_them():
    info = load_bundle(resource("models/lift")).info
    assert "encoders" not in info.tree() and info.own_digest() == info.manifest_digest
    assert EncoderSession(load_bundle(resource("models/lift")))._sessions == {}


# -- an encoder that is given ----------------------------------------------------------------------------------------


def frozen_encoder(size: int = 4, name: str = "image") -> Given:
    """A model as a library's export would be: the mean of the picture, times one number for each feature."""
    weight = numpy_helper.from_array(np.linspace(-1, 1, size, dtype=np.float32)[None], "weight")
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    nodes = [
        helper.make_node("Cast", [name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["flat"], keepdims=0),
        helper.make_node("Unsqueeze", ["flat", "one"], ["mean"]),
        helper.make_node("MatMul", ["mean", "weight"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", "h", "w", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", size])],
        [weight, axes, numpy_helper.from_array(np.array([1]), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    return Given(model, hashlib.sha256(model).hexdigest())


def test_a_given_encoder_is_frozen_travels_with_the_prior_and_is_needed_to_resume(contract, tmp_path):
    demos, given = pictured_demos(contract), frozen_encoder()
    out = train(demos, contract, tmp_path / "run", SMALL, encoder=given)
    assert not any("encoders" in name for name in load_checkpoint(out).tensors)
    bundle = export(out, tmp_path / "given")
    assert bundle.info.encoders == {"front": "encoder.onnx", "wrist": "encoder.onnx"}
    assert bundle.read("encoder.onnx") == given.model
    picture = demos[0].images["front"][0]
    np.testing.assert_allclose(EncoderSession(bundle).encode("front", picture), picture.mean() * np.linspace(-1, 1, 4), rtol=1e-5)
    encoded = encode_demos(demos, contract, given)[0]
    column = encoded.observations[:, contract.feature_slices()["front_features"]][:, 3]
    np.testing.assert_allclose(column, demos[0].images["front"].mean((1, 2, 3)), rtol=1e-5)
    # The normalisation is fitted to its features.
    assert bundle.state_scale[4] > 0.01 and bundle.state_shift[7] > 10
    with pytest.raises(PriorError, match="another --encoder"):
        train(demos, contract, out, resume=True)


class LibraryEncoder(torch.nn.Module):
    """docs/images.md: a network of normalised pictures, with the normalisation inside."""

    def __init__(self, body, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
        super().__init__()
        self.body = body
        self.register_buffer("mean", 255.0 * torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", 255.0 * torch.tensor(std).view(3, 1, 1))

    def forward(self, image):
        return self.body((image.permute(0, 3, 1, 2).float() - self.mean) / self.std)


def test_the_documented_export_of_a_librarys_network_is_an_encoder(contract, tmp_path):
    layers = torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    encoder, path = LibraryEncoder(torch.nn.Sequential(*layers)).eval(), tmp_path / "encoder.onnx"
    example = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8)
    torch.onnx.export(
        encoder,
        (example,),
        path,
        dynamo=True,
        opset_version=20,
        input_names=["image"],
        output_names=["features"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        external_data=False,
        verbose=False,
    )
    demos = pictured_demos(contract, count=1)
    (seen,) = encode_demos(demos, contract, read_given(path))
    with torch.no_grad():
        expected = encoder(torch.from_numpy(demos[0].images["wrist"])).numpy()
    np.testing.assert_allclose(seen.observations[:, contract.feature_slices()["wrist_features"]], expected, atol=1e-5)


@pytest.mark.parametrize(
    "given, text",
    [
        (frozen_encoder(size=5), "gives 5 features of a picture, the contract's 'front_features' has size 4"),
        (frozen_encoder(name="x"), "an encoder takes image uint8"),
        (Given(b"no model", "0"), "cannot run this decoder|encoder"),
    ],
)
def test_a_model_that_is_no_encoder_for_this_contract_is_refused(given, text, contract, tmp_path):
    with pytest.raises(ValueError, match=text):
        train(pictured_demos(contract), contract, tmp_path, SMALL, encoder=given)


def test_the_old_contract_needs_no_pictures():
    assert load_contract(resource("config/contracts/lift.yaml")).images == {}
