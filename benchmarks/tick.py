"""Ticks at 50 Hz for minutes on end while a learner saturates a core: how late they are, and what a weight push costs them.

Steering's own driver and core run against a stand-in for perception and arm (the measured pose is the last target), beside the
loop of diffusion_policy's robot scripts on the same core: inference within the tick, sleep until 1 ms before the deadline, then
spin. All contenders run at the same time, each in a process of its own, so they meet the same machine; the learner is the
project's own, pushes a version every `PUSH_EVERY` updates to each of them and never rests.

    python benchmarks/tick.py --minutes 20            Ctrl-C ends it with what there is
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tick_contenders import CONTENDERS, PRIOR, RATE_HZ, SETTLE_S, contend, make_contract
from tqdm import tqdm

from lpds_ros.weights import pack_weights

SLOW_STEPS = 5  # of the large U-Net: about 200 ms
PUSH_EVERY = 50  # updates of the learner between two versions


def learn(pushes: dict, ready, ending):
    """The process of the learner: it never rests."""
    import torch

    from lpds_ros.learning.config import LearnerConfig
    from lpds_ros.learning.lpds import Learner
    from lpds_ros.learning.replay import Transitions

    torch.set_num_threads(1)
    learners, rng, no = [], np.random.default_rng(0), np.zeros(2000, bool)
    for kind in ("quick", "slow"):
        contract = make_contract(kind)
        size, rows = contract.state_size, contract.horizons.executed * contract.action_size
        draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)  # noqa: E731
        learner = Learner(
            contract,
            lambda state, noise: np.tanh(noise),
            prior_digest=PRIOR,
            state_shift=np.zeros(size, np.float32),
            state_scale=np.ones(size, np.float32),
            config=LearnerConfig(critic_warmup_updates=0),
            seed=0,
        )
        learner.extend(Transitions(draw(2000, size), np.tanh(draw(2000, rows)), draw(2000), no, no, draw(2000, size)))
        learners.append((learner, pushes[kind]))
    ready.wait()
    while not ending.is_set():
        for learner, connections in learners:
            for _ in range(PUSH_EVERY):
                learner.update()
            blob = pack_weights(learner.actor_parameters())
            for connection in connections:
                connection.send_bytes(blob)


def make_models(folder: Path) -> dict[str, Path]:
    """Exported decoders of drawn weights: an MLP, and a large U-Net whose sampler is long enough for ten ticks."""
    from drawn import drawn_decoder

    from lpds_ros.prior.config import PriorConfig
    from lpds_ros.prior.export import to_onnx

    configs = {
        "quick": PriorConfig(width=512, blocks=1, steps=10),
        "slow": PriorConfig(network="unet", channels=(256, 512, 1024), steps=SLOW_STEPS),
    }
    found = {}
    for kind, config in configs.items():
        contract = make_contract(kind)
        decoder = drawn_decoder(config, contract.noise_shape, contract.state_size)
        found[kind] = folder / f"{kind}.onnx"
        found[kind].write_bytes(to_onnx(decoder)["fp32"]["loop"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--only", nargs="+", choices=[c.name for c in CONTENDERS], help="contenders; without: all")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    chosen = [c for c in CONTENDERS if not args.only or c.name in args.only]
    spawn, seconds = multiprocessing.get_context("spawn"), 60.0 * args.minutes + SETTLE_S
    ready, ending, results = spawn.Event(), spawn.Event(), spawn.Queue()
    with tempfile.TemporaryDirectory() as folder:
        models, pushes, processes = make_models(Path(folder)), {"quick": [], "slow": []}, []
        for contender in chosen:
            receiving, sending = spawn.Pipe(duplex=False)
            pushes[contender.decoder].append(sending)
            arguments = (contender, models[contender.decoder], seconds, receiving, results, ready, ending)
            processes.append(spawn.Process(target=contend, args=arguments, daemon=True))
        learner = spawn.Process(target=learn, args=(pushes, ready, ending), daemon=True)
        for process in (*processes, learner):
            process.start()
        time.sleep(10.0)  # imports, sessions
        ready.set()
        watch(seconds, ending)
        found = dict(results.get(timeout=120.0) for _ in chosen)
        ending.set()
    show({c.name: found[c.name] for c in chosen})
    if args.json:
        from lpds_ros.bench.results import provenance

        args.json.write_text(
            json.dumps({"rate_hz": RATE_HZ, "seconds": seconds, "found": found} | provenance(), indent=1) + "\n"
        )


def watch(seconds: float, ending):
    """Show how time passes; Ctrl-C ends the run early."""
    try:
        for _ in tqdm(range(int(seconds)), unit="s", disable=None):
            time.sleep(1.0)
    except KeyboardInterrupt:
        ending.set()


def show(found: dict):
    """A table."""
    head = [
        "loop",
        "ticks",
        "late, ms: p50",
        "p99",
        "p99.9",
        "most",
        "missed",
        "computing p99, ms",
        "longest step, mm",
        "pushes",
    ]
    head += ["push: p50, p99 with a decode, ms", "without"]
    print("| " + " | ".join(head) + " |")
    print("|---|" + "---:|" * (len(head) - 1))
    for name, f in found.items():
        cells = [name, f["ticks"], *(f"{value:.2f}" for value in f["lateness_ms"]), f["missed"]]
        cells += [f"{f['computed_ms'][1]:.2f}", f"{f['longest_step_mm']:.2f}", f["pushes"]]
        cells += [", ".join(f"{value:+.3f}" for value in costs) or "–" for costs in f["push_costs_ms"]]
        print("| " + " | ".join(map(str, cells)) + " |")
        for refused in f["refused"]:
            print(f"{name}: {refused}", file=sys.stderr)


if __name__ == "__main__":
    main()
