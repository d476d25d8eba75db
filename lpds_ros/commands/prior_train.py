"""`lpds prior train`: behaviour cloning of a diffusion or flow prior from demonstrations."""

import dataclasses
import signal
import threading
from pathlib import Path

from lpds_ros.commands._demos import SOURCES, add_mapping, find_contract, read_all
from lpds_ros.config import build, read_yaml
from lpds_ros.prior.config import PriorConfig

HELP = "train a prior (diffusion or flow) from demonstrations; Ctrl-C leaves a checkpoint that --resume goes on from"


def add_arguments(parser):
    parser.add_argument(
        "--demos", nargs="+", required=True, help=SOURCES
    )
    parser.add_argument(
        "--contract", help="file, or name under config/contracts (default: the one in the demonstrations)"
    )
    add_mapping(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/prior"), help="checkpoint directory (default runs/prior)"
    )
    parser.add_argument("--config", type=Path, help="YAML with fields of PriorConfig; the options below go before it")
    parser.add_argument("--kind", choices=("diffusion", "flow"), help="default diffusion")
    parser.add_argument(
        "--network", choices=("mlp", "unet", "dit"), help="the denoiser, default mlp; its sizes are fields of --config"
    )
    parser.add_argument(
        "--encoder", type=Path, help="a frozen image encoder (.onnx) for every camera; default: one is trained for each"
    )
    parser.add_argument("--steps", type=int, help=f"training steps (default {PriorConfig.updates})")
    parser.add_argument("--sampler-steps", type=int, help=f"steps of the sampler, K (default {PriorConfig.steps})")
    parser.add_argument("--seed", type=int, help=f"default {PriorConfig.seed}")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in --out; --steps may extend it"
    )


def run(args) -> int:
    from lpds_ros.prior.checkpoint import load_checkpoint
    from lpds_ros.prior.given import read_given
    from lpds_ros.prior.train import train

    demos, contract = read_all(args.demos, find_contract(args.contract), mapping=args.mapping, mask=args.mask)
    base = build(PriorConfig, read_yaml(args.config), args.config) if args.config else PriorConfig()
    if args.resume and not args.config:
        base = load_checkpoint(args.out).config
    given = {"kind": args.kind, "network": args.network, "updates": args.steps, "steps": args.sampler_steps, "seed": args.seed}
    config = dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})
    print(
        f"{len(demos)} demonstrations, {sum(map(len, demos))} ticks, contract {contract.name} ({contract.digest[:12]})"
    )
    stop = threading.Event()

    def interrupted(*_):
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends at once

    encoder = read_given(args.encoder) if args.encoder else None
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        train(
            demos, contract, args.out, config, resume=args.resume, progress=True, should_stop=stop.is_set, encoder=encoder
        )
    finally:
        signal.signal(signal.SIGINT, before)
    checkpoint = load_checkpoint(args.out)
    if checkpoint.update < config.updates:
        print(f"stopped at update {checkpoint.update} of {config.updates}; go on with the same command and --resume")
        return 130
    loss = checkpoint.history[-1]["held_out_loss"]
    print(f"{args.out}: {checkpoint.update} updates" + ("" if loss is None else f", held-out loss {loss:.5f}"))
    print(f"next: lpds prior export --checkpoint {args.out} --out models/{contract.name}")
    return 0
