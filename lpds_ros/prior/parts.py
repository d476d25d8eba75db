"""A decoder's two parts and its encoders as ONNX models, by torch's exporter. No network is used."""

import contextlib
import io
import logging
import warnings

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from lpds_ros.prior.sampler import Decoder

OPSET = 20
EXAMPLES = 4  # rows traced; the batch stays dynamic


class Conditioner(nn.Module):
    """observation [B, T_o*d_o] in contract units -> condition [K, B, C] of all evaluations; times are constants in it."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, observation):
        return self.decoder.condition(observation)


class Step(nn.Module):
    """x [B, T_p*d_a], condition [B, C] -> the network's output [B, T_p*d_a]."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.network = decoder.network

    def forward(self, x, condition):
        return self.network.step(x, condition)


def export_conditioner(decoder: Decoder) -> onnx.ModelProto:
    """observation -> condition, opset 20, with a dynamic batch; constants are initialisers, no trace of this machine stays."""
    return _exported(Conditioner(decoder), {"observation": _observation(decoder)}, "condition")


def export_step(decoder: Decoder) -> onnx.ModelProto:
    """(x, condition) -> out, in the same way."""
    with torch.no_grad():
        condition = decoder.condition(_observation(decoder))[0].clone()
    x = torch.zeros(EXAMPLES, decoder.noise_shape[0] * decoder.noise_shape[1])
    return _exported(Step(decoder), {"x": x, "condition": condition}, "out")


def export_encoder(encoder: nn.Module, pictures: torch.Tensor) -> bytes:
    """image uint8 [B, h, w, 3] -> features, in the same way. pictures: some of its stream."""
    model = _exported(encoder, {"image": pictures}, "features")
    return model.SerializeToString(deterministic=True)


def _observation(decoder: Decoder) -> torch.Tensor:
    return decoder.state_shift.expand(EXAMPLES, -1).clone()


def _exported(module: nn.Module, inputs: dict[str, torch.Tensor], output: str) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        quiet("torch.onnx", "onnxscript", "onnx_ir"),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes={name: {0: batch} for name in inputs},
            verbose=False,
        )
    model = program.model_proto
    if model.functions:
        raise AssertionError(f"the exporter left functions: {[f.name for f in model.functions]}")
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")  # stack traces of this machine have no place in a bundle
        item.ClearField("doc_string")
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = numpy_helper.from_array(numpy_helper.to_array(node.attribute[0].t), node.output[0])
        graph.initializer.append(tensor)
        graph.node.remove(node)
    return model


@contextlib.contextmanager
def quiet(*names):
    """Silence exporters that log to the root of their package."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
