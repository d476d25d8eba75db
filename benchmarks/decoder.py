"""One chunk at batch 1, as a control loop asks for it: the decoders exported here against those of others, on the SAME weights.

Each contender decodes once a round, after a pause (back to back everything is warmer than in a control loop), in an order
that turns; ratios are taken round by round, so that both sides met the same machine. The machine's own limits are measured
in the same run. Weights are drawn, not trained: times do not depend on them, and whether a prior may use int8 is decided by
its export.

    python benchmarks/decoder.py                        Ctrl-C ends it with what there is
    python benchmarks/decoder.py --clock cpu            on a machine that has other work: processor time, not the wall's
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from decoder_peers import DiffusersDdim, EagerDdim, LerobotDdim
from drawn import drawn_decoder
from torch import nn
from tqdm import tqdm

from lpds_ros.bench.results import provenance
from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.export import to_onnx
from lpds_ros.prior.measure import PAUSE_S, machine
from lpds_ros.prior.parts import OPSET
from lpds_ros.prior.runtime import open_model
from lpds_ros.prior.sampler import Decoder

CHUNK, STATE = (16, 7), 23  # rows and action size, observed numbers: robomimic's Can under diffusion policy's horizon
NETWORKS = {
    "mlp": ("MLP 512", PriorConfig(width=512, blocks=1, steps=10, prediction="noise")),
    "dit": ("DiT d256", PriorConfig(network="dit", width=256, blocks=4, steps=10, prediction="noise")),
    "unet": ("UNet1D", PriorConfig(network="unet", steps=10, prediction="noise")),
    "unet-large": ("UNet1D", PriorConfig(network="unet", channels=(256, 512, 1024), steps=4, prediction="noise")),
}
EAGER = "torch eager loop"
PEERS = {  # name, its package first -> how it is made, of which networks
    "diffusers DDIMScheduler": (DiffusersDdim, ("mlp", "dit", "unet")),
    "lerobot DiffusionModel": (LerobotDdim, ("unet",)),
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}
PEAK = 768  # rows and columns of the product that the peak is measured with
SAME = 1e-3  # largest root mean square difference of an exact contender, action units of about 1


def make_contenders(decoder: Decoder, config: PriorConfig, threads: int) -> dict:
    """Name -> a call that decodes one chunk; all of them fed the same. Exact ones are checked against the decoder."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
    feed = {"observation": draw(1, STATE), "noise": draw(1, *CHUNK)}
    inputs = tuple(torch.from_numpy(array) for array in feed.values())
    found = {EAGER: EagerDdim(decoder, config)}
    for name, (make, networks) in PEERS.items():
        if config.network in networks:
            try:
                found[name] = make(decoder, config)
            except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that is not this torch's
                print(f"no row for {name}: {error} (pip install {name.split()[0]})", file=sys.stderr)
    found["ours, torch"] = torch.no_grad()(decoder)
    calls = {name: lambda run=run: run(*inputs).numpy() for name, run in found.items()}
    for variant, forms in to_onnx(decoder, ("int8",)).items():
        for form, model in forms.items():
            session = open_model(model, "cpu", threads)
            calls[f"ours, {variant} {form}"] = lambda on=session: on.run(["action"], feed)[0]
    expected = calls["ours, torch"]()
    for name, call in calls.items():
        off = float(np.sqrt(np.square(call() - expected).mean()))
        if "int8" not in name and not off < SAME:
            raise AssertionError(f"{name} differs by {off:.1e}: the comparison would be of different functions")
    return calls


def measure(calls: dict, rounds: int, clock, label: str) -> dict[str, list[float]]:
    """Seconds of each contender in each whole round; Ctrl-C ends it early."""
    times = {name: [] for name in calls}
    names = list(calls)
    with tqdm(total=rounds, desc=label, unit="round", leave=False, dynamic_ncols=True) as bar:
        for i in range(rounds):
            taken = {}
            for name in names[i % len(names) :] + names[: i % len(names)]:
                time.sleep(PAUSE_S)
                start = clock()
                calls[name]()
                taken[name] = clock() - start
            for name, seconds in taken.items():
                times[name].append(seconds)
            bar.update(1)
    return times


def limits(size: int, threads: int, clock) -> dict:
    """GFLOP/s of a large fp32 matrix product (ONNX Runtime's or torch's), and GB/s of reading `size` bytes again and again."""
    a, b = np.ones((PEAK, PEAK), np.float32), np.ones((PEAK, PEAK), np.float32)
    product = open_model(product_model(b).SerializeToString(), "cpu", threads)
    calls = (lambda: product.run(None, {"a": a}), lambda: torch.from_numpy(a) @ torch.from_numpy(b))
    fastest = min(best(call, clock) for call in calls)
    weights = torch.ones(size // 4)
    return {"gflops": 2 * PEAK**3 / fastest / 1e9, "gb_per_s": size / best(weights.sum, clock) / 1e9}


def product_model(b: np.ndarray) -> onnx.ModelProto:
    """a @ b, `b` constant."""
    shape = onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, list(b.shape))
    node = onnx.helper.make_node("MatMul", ["a", "b"], ["c"])
    out = onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "product", [shape], [out], [onnx.numpy_helper.from_array(b, "b")])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)


def best(call, clock) -> float:
    """Seconds of the fastest of many calls."""
    times = []
    for _ in range(20):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def work(decoder: Decoder) -> dict:
    """What one evaluation of the step needs: floating-point operations of its products, bytes of their weights."""
    total = {"flops": 0, "bytes": 0}

    def count(layer, inputs, output):
        total["flops"] += 2 * output.numel() * layer.in_features
        total["bytes"] += 4 * layer.weight.numel()

    hooks = [layer.register_forward_hook(count) for layer in decoder.network.modules() if isinstance(layer, nn.Linear)]
    condition = decoder.condition(torch.zeros(1, STATE))[0]
    total.update(flops=0, bytes=0)  # the conditioner's
    decoder.network.step(torch.zeros(1, CHUNK[0] * CHUNK[1]), condition)
    for hook in hooks:
        hook.remove()
    return total


def report(label: str, times: dict, needs: dict, steps: int, bounds: dict):
    """The table of one network."""
    rounds = len(times[EAGER])
    print(f"\n{label}, K {steps}, {needs['flops'] / 1e6:.0f} MFLOP and {needs['bytes'] / 1e6:.1f} MB a step, {rounds} rounds")
    floor = steps * max(needs["flops"] / bounds["gflops"], needs["bytes"] / bounds["gb_per_s"]) / 1e9
    for name, found in times.items():
        ratios = sorted(base / own for own, base in zip(found, times[EAGER]))
        spread = f"{ratios[len(ratios) // 10]:.2f} to {ratios[-1 - len(ratios) // 10]:.2f}"
        median = statistics.median(found)
        share = f", {100 * floor / median:3.0f} % of the limit" if "fp32" in name else ""
        print(f"  {name:<26} {1e3 * median:9.3f} ms   {statistics.median(ratios):6.2f} x ({spread}){share}")
    peak, bandwidth = bounds["gflops"], bounds["gb_per_s"]
    print(f"  the machine: {peak:.0f} GFLOP/s in fp32, {bandwidth:.1f} GB/s over the weights of a step", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of this thread alone, so --threads 1")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    if args.clock == "cpu" and args.threads > 1:
        parser.error("--clock cpu sees one thread only: leave out --threads")
    torch.set_num_threads(args.threads)
    result = {"threads": args.threads, "clock": args.clock, "processor": machine(), "pause_s": PAUSE_S} | provenance()
    print(f"{machine()}; {args.threads} thread(s), {args.clock} clock, a pause of {1e3 * PAUSE_S:.0f} ms, batch 1")
    print("CUDA, CUDA graph, TensorRT: no rows; this benchmark measures the CPU")
    try:
        for name in args.networks:
            words, config = NETWORKS[name]
            decoder = drawn_decoder(config, CHUNK, STATE)
            needs = work(decoder)
            label = f"{words}, {sum(p.numel() for p in decoder.network.parameters()) / 1e6:.1f} M"
            print(f"{label}: exporting ...", end="\r", file=sys.stderr, flush=True)
            calls = make_contenders(decoder, config, args.threads)
            bounds = limits(needs["bytes"], args.threads, CLOCKS[args.clock])
            times = measure(calls, args.rounds, CLOCKS[args.clock], label)
            report(label, times, needs, config.steps, bounds)
            result[name] = {"times_s": times, "limits": bounds, "step": needs}
    except KeyboardInterrupt:
        print("\nstopped: the tables above are whole", file=sys.stderr)
        return 130
    finally:
        if args.json:
            args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
