"""int8 for a CPU: the step's matrix products with constant weights, weights per channel, activations at run time.

Those that read the noisy chunk or write the network's output stay in fp32: they are the smallest, and nearly all of the error
is theirs (measured on a DiT: 7.9 % of the action's standard deviation with them, .45 % without).
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lpds_ros.prior.parts import quiet

MOVEMENTS = ("Reshape", "Transpose", "Gather", "Pad", "Unsqueeze", "Squeeze", "Slice", "Split")


def has_vnni() -> bool:
    """Whether this machine's 8-bit products are exact; on x86 without VNNI they may saturate. False where it cannot be seen."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    return any(name in flags.split() for name in ("avx512_vnni", "avx_vnni", "asimddp"))


def quantise(step: onnx.ModelProto, *, reduce_range: bool) -> onnx.ModelProto:
    """`step` with int8 weights (one scale a column) and activations quantised as they come; only MatMul, never Conv.

    One scale serves all activations of a call: the error of a batch is greater than that of its chunks one by one.

    reduce_range: weights of 7 bits, for CPUs whose 8-bit products saturate (no VNNI).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quiet(""):
        before, after = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        plain = as_matmul(step)
        onnx.save(plain, before)
        quantize_dynamic(
            before,
            after,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=outermost(plain),
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(after)


def outermost(step: onnx.ModelProto) -> list[str]:
    """Names of the products that read `x` or write `out`, with nothing but movements and biases between."""
    reads = {"x"}
    found = []
    for node in step.graph.node:
        if reads.intersection(node.input):
            if node.op_type == "MatMul":
                found.append(node.name)
            elif node.op_type in MOVEMENTS:
                reads.update(node.output)
    writes = {"out"}
    for node in reversed(step.graph.node):
        if writes.intersection(node.output):
            if node.op_type == "MatMul":
                found.append(node.name)
            elif node.op_type in (*MOVEMENTS, "Add"):
                writes.update(node.input)
    return found


def as_matmul(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose Gemm nodes with constant weights are MatMul and Add, which is what the quantiser knows."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        plain = options.get("alpha", 1.0) == options.get("beta", 1.0) == 1.0 and not options.get("transA", 0)
        if node.op_type != "Gemm" or not plain or node.input[1] not in tensors:
            nodes.append(node)
            continue
        weight = node.input[1]
        if options.get("transB", 0):
            weight = f"{node.input[1]}.T"
            if weight not in tensors:
                turned = np.ascontiguousarray(numpy_helper.to_array(tensors[node.input[1]]).T)
                tensors[weight] = numpy_helper.from_array(turned, weight)
        biased = len(node.input) > 2 and node.input[2]
        product = f"{node.output[0]}.product" if biased else node.output[0]
        nodes.append(helper.make_node("MatMul", [node.input[0], weight], [product], name=f"{node.name}_matmul"))
        if biased:
            nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}_bias"))
    used = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in tensors.items() if name in used)
    return copy
