"""Two exported parts to the whole deterministic sampler, at ONNX level.

The parts: a conditioner `observation [batch, T_o*d_o] -> condition [K, batch, C]`, evaluated once a chunk, and one step
`(x [batch, T_p*d_a], condition [batch, C]) -> out [batch, T_p*d_a]`. The forms of the whole: "loop" holds the step once, in an
ONNX Loop, for a CPU: half the memory, and the weights stay in its caches; "unrolled" holds it K times around the same weights,
without control flow, for a GPU and its CUDA graphs.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lpds_ros.prior.sampler import Decoder


def assemble(
    conditioner: onnx.ModelProto, step: onnx.ModelProto, decoder: Decoder, form: str, prefix: bool = False
) -> onnx.ModelProto:
    """One model `observation [batch, T_o*d_o], noise [batch, T_p, d_a] -> action [batch, T_p, d_a]`, checked by onnx.

    decoder: whose sampler and bounds are built around the parts; its network is not looked at. prefix: two inputs more, `prefix
    [batch, T_p, d_a]` and `weight [batch, T_p]`, the rows that are given; with weights of zero the same chunk as without.
    """
    graph = _Graph()
    (condition,) = graph.inline(conditioner, "conditioner", {"observation": "observation"})
    given = _given(graph, decoder) if prefix else None
    rule = _RULES["ddim" if decoder.kind == "diffusion" else decoder.solver](decoder, given)
    rows, size = decoder.noise_shape
    x = graph.add("Reshape", "noise", graph.constant(np.array([-1, rows * size])))
    x = (_looped if form == "loop" else _unrolled)(graph, step, rule, x, condition)
    if decoder.kind == "flow":
        x = graph.add("Clip", x, graph.constant(-1.0), graph.constant(1.0))
    x = graph.add("Reshape", x, graph.constant(np.array([-1, rows, size])))
    x = graph.add("Mul", x, graph.constant(decoder.action_scale.numpy()))
    x = graph.add("Add", x, graph.constant(decoder.action_shift.numpy()))
    x = graph.add("Max", x, graph.constant(decoder.action_low.numpy()))
    graph.add("Min", x, graph.constant(decoder.action_high.numpy()), outputs=["action"])
    value = helper.make_tensor_value_info
    chunk = ["batch", rows, size]
    more = [value("prefix", TensorProto.FLOAT, chunk), value("weight", TensorProto.FLOAT, ["batch", rows])]
    made = helper.make_graph(
        graph.nodes,
        f"sampler_{form}",
        [
            value("observation", TensorProto.FLOAT, ["batch", len(decoder.state_shift)]),
            value("noise", TensorProto.FLOAT, chunk),
            *(more if prefix else []),
        ],
        [value("action", TensorProto.FLOAT, chunk)],
        graph.constants,
    )
    versions = {entry.domain: entry for part in (conditioner, step) for entry in part.opset_import}
    model = helper.make_model(made, opset_imports=versions.values(), ir_version=step.ir_version, producer_name="lpds_ros")
    onnx.checker.check_model(model, full_check=True)
    return model


def _given(graph, decoder) -> tuple[str, str]:
    """Decoder._given, once a chunk."""
    rows, size = decoder.noise_shape
    known = graph.add("Sub", "prefix", graph.constant(decoder.action_shift.numpy()))
    known = graph.add("Div", known, graph.constant(decoder.action_scale.numpy()))
    if decoder.kind == "flow":
        known = graph.add("Sub", known, "noise")
    weight = graph.add("Unsqueeze", "weight", graph.constant(np.array([2])))
    weight = graph.add("Expand", weight, graph.constant(np.array([1, rows, size])))
    flat = graph.constant(np.array([-1, rows * size]))
    weight, known = graph.add("Reshape", weight, flat), graph.add("Reshape", known, flat)
    return graph.add("Sub", graph.constant(1.0), weight), graph.add("Mul", weight, known)


class _Rule:
    """What a sampler does with the network's output. given: names of what `_given` made, or None."""

    def __init__(self, given: tuple[str, str] | None):
        self.given = given

    def completed(self, graph, estimate):
        if self.given is None:
            return estimate
        stays, added = self.given
        return graph.add("Add", graph.add("Mul", stays, estimate), added)


class _Ddim(_Rule):
    """clean = clip(c0 x + c1 out); x' = c2 x + c3 clean. Where the network predicts the clean chunk, c0 = 0 and c1 = 1."""

    def __init__(self, decoder: Decoder, given):
        super().__init__(given)
        self.table = np.array(decoder.coefficients, np.float32)
        self.direct = bool((self.table[:, :2] == (0.0, 1.0)).all())

    def begin(self, x):
        return (x,)

    def update(self, graph, state, out, c):
        (x,) = state
        if not self.direct:
            out = graph.add("Add", graph.add("Mul", x, c[0]), graph.add("Mul", out, c[1]))
        clean = self.completed(graph, graph.add("Clip", out, graph.constant(-1.0), graph.constant(1.0)))
        return (graph.add("Add", graph.add("Mul", x, c[2]), graph.add("Mul", clean, c[3])),)


class _Euler(_Rule):
    """x' = x + h out."""

    def __init__(self, decoder: Decoder, given):
        super().__init__(given)
        self.table = np.full((decoder.steps, 1), 1.0 / decoder.steps, np.float32)

    def begin(self, x):
        return (x,)

    def update(self, graph, state, out, c):
        out = self.completed(graph, out)
        return (graph.add("Add", state[0], graph.add("Mul", out, c[0])),)


class _Midpoint(_Rule):
    """x' = base + a out, with a = h to the middle of a step and 2 h to its end, where base' = x', else base' = base."""

    def __init__(self, decoder: Decoder, given):
        super().__init__(given)
        h = 1.0 / decoder.steps
        self.table = np.array([[h, 0.0], [2.0 * h, 1.0]] * (decoder.steps // 2), np.float32)

    def begin(self, x):
        return (x, x)

    def update(self, graph, state, out, c):
        (_, base), out = state, self.completed(graph, out)
        x = graph.add("Add", base, graph.add("Mul", out, c[0]))
        return x, graph.add("Add", base, graph.add("Mul", graph.add("Sub", x, base), c[1]))


_RULES = {"ddim": _Ddim, "euler": _Euler, "midpoint": _Midpoint}


def _unrolled(graph, step, rule, x, condition):
    steps = len(rule.table)
    each = graph.add("Split", condition, axis=0, num_outputs=steps, outputs=[f"condition_{k}" for k in range(steps)])
    state = rule.begin(x)
    for k, row in enumerate(rule.table):
        told = graph.add("Squeeze", each[k], graph.constant(np.array([0])))
        (out,) = graph.inline(step, f"step_{k}", {"x": state[0], "condition": told}, shared="step")
        state = rule.update(graph, state, out, [graph.constant(value) for value in row])
    return state[0]


def _looped(graph, step, rule, x, condition):
    """A Loop of K rounds; what is constant lies outside of its body, once."""
    steps, width = rule.table.shape
    begun = rule.begin(x)
    names = [f"state_{i}" for i in range(len(begun))]
    body = _Graph(graph, "body_")
    row = body.add("Gather", graph.constant(rule.table), "round", axis=0)
    c = body.add("Split", row, axis=0, num_outputs=width, outputs=[f"coefficient_{i}" for i in range(width)])
    told = body.add("Gather", condition, "round", axis=0)
    (out,) = body.inline(step, "step", {"x": names[0], "condition": told}, shared="step")
    state = rule.update(body, names, out, c)
    again = body.add("Identity", "go_on")
    size = int(step.graph.input[0].type.tensor_type.shape.dim[1].dim_value)
    value, chunk = helper.make_tensor_value_info, ["batch", size]
    inputs = [value("round", TensorProto.INT64, []), value("go_on", TensorProto.BOOL, [])]
    inputs += [value(name, TensorProto.FLOAT, chunk) for name in names]
    outputs = [value(again, TensorProto.BOOL, []), *(value(name, TensorProto.FLOAT, chunk) for name in state)]
    subgraph = helper.make_graph(body.nodes, "round", inputs, outputs)
    count, true = graph.constant(np.array(steps)), graph.constant(np.array(True))
    ended = [f"ended_{i}" for i in range(len(names))]
    graph.add("Loop", count, true, *begun, body=subgraph, outputs=ended)
    return ended[0]


class _Graph:
    """Nodes in the making, each value with a name of its own. Constants lie in the outermost graph, equal ones once."""

    def __init__(self, outer: "_Graph | None" = None, prefix: str = ""):
        self.nodes, self._prefix, self._outermost = [], prefix, outer or self
        self.constants, self._known = [], {}

    def add(self, op: str, *inputs: str, outputs: list[str] | None = None, **attributes):
        """Append a node; its output's name, or the list `outputs` where that is given."""
        single = f"{self._prefix}{op.lower()}_{len(self.nodes)}"
        node = helper.make_node(op, inputs, outputs or [single], name=f"{self._prefix}{len(self.nodes)}_{op}", **attributes)
        self.nodes.append(node)
        return outputs or single

    def constant(self, value) -> str:
        """A tensor by its name: float32 for floats, int64 and bool as they are."""
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        return self._outermost.keep(numpy_helper.from_array(array))

    def keep(self, tensor: onnx.TensorProto, name: str = "") -> str:
        """Hold a tensor of the outermost graph: under `name`, or under one of its own where an equal one may serve."""
        key = name or (tensor.data_type, tuple(tensor.dims), tensor.raw_data)
        if key not in self._known:
            self._known[key] = name or f"constant_{len(self.constants)}"
            kept = onnx.TensorProto()
            kept.CopyFrom(tensor)
            kept.name = self._known[key]
            self.constants.append(kept)
        return self._known[key]

    def inline(self, part: onnx.ModelProto, prefix: str, inputs: dict[str, str], shared: str = "") -> list[str]:
        """Append the nodes of `part`, fed by `inputs`; the names of its outputs. Its tensors are held once under `shared`."""
        names = dict(inputs) | {"": ""}
        for tensor in part.graph.initializer:
            names[tensor.name] = self._outermost.keep(tensor, f"{shared or prefix}.{tensor.name}")
        for node in part.graph.node:
            if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
                raise AssertionError(f"{node.op_type} of the {prefix}: a part must have no graph within")
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for name in node.output:
                names[name] = f"{self._prefix}{prefix}.{name}" if name else ""
            copy.input[:], copy.output[:] = [names[n] for n in node.input], [names[n] for n in node.output]
            copy.name = f"{self._prefix}{prefix}.{node.name}"
            self.nodes.append(copy)
        return [names[value.name] for value in part.graph.output]
