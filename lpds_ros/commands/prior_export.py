"""`lpds prior export`: checkpoint to bundle, checked against torch."""

from pathlib import Path

from lpds_ros.commands._demos import read_all

HELP = "export a trained prior as a bundle (ONNX, golden cases, digests); fails unless it reproduces torch"


def add_arguments(parser):
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=Path("runs/prior"),
        help="directory of `lpds prior train` (default runs/prior)",
    )
    parser.add_argument("--out", type=Path, required=True, help="bundle folder, e.g. models/lift")
    parser.add_argument("--name", default="", help="the bundle's name (default: the folder's)")
    parser.add_argument("--licence", default="Apache-2.0", help="licence of the weights (default Apache-2.0)")
    parser.add_argument(
        "--delay", type=int, help="ticks from observation to action, for a slow decoder (default: the contract's)"
    )
    parser.add_argument(
        "--reward",
        default="",
        choices=("task_state", "operator"),
        help="who says what succeeds: the simulation, or an operator, as on a real arm (default: the contract's)",
    )
    parser.add_argument(
        "--prefix", action="store_true", help="a decoder that can go on from rows of the running chunk (prefix:=true)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing bundle, its learned actors included"
    )
    parser.add_argument(
        "--variants",
        nargs="+",
        default=[],
        choices=("int8",),
        help="faster decoders beside fp32, for the CPU; refused when off by more than 3 %% of the action's standard deviation",
    )
    parser.add_argument(
        "--demos", nargs="+", default=[], help="demonstrations whose states judge the variants (default: the training range)"
    )


def run(args) -> int:
    from lpds_ros.prior.checkpoint import load_checkpoint
    from lpds_ros.prior.export import export
    from lpds_ros.prior.export_encoders import demonstrated_states

    states = None
    if args.demos:
        demos, _ = read_all(args.demos, load_checkpoint(args.checkpoint).contract)
        states = demonstrated_states(args.checkpoint, demos)
    named = {"name": args.name, "licence": args.licence, "overwrite": args.overwrite, "delay": args.delay, "reward": args.reward}
    named |= {"prefix": args.prefix, "variants": tuple(args.variants), "states": states}
    bundle = export(args.checkpoint, args.out, **named)
    sampler = bundle.sampler
    print(f"{bundle.path}: {bundle.kind} prior '{bundle.name}', {sampler.name} with {sampler.steps} steps")
    print(f"  digest {bundle.digest}")
    for name, variant in bundle.variants.items():
        times = ", ".join(f"{form} {ms:.2f} ms" for form, ms in variant.latency_ms.items())
        print(f"  {name:<20} {times}; RMSE {100 * variant.rmse:.3f} % of the action's standard deviation, {variant.states}")
    for name, entry in sorted(bundle.info.files.items()):
        print(f"  {name:<20} {entry.bytes:>10} bytes  sha256 {entry.sha256[:12]}")
    return 0
