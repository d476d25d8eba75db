"""`lpds prior export`: checkpoint to bundle, checked against torch."""

from pathlib import Path

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
        "--overwrite", action="store_true", help="replace an existing bundle, its learned actors included"
    )


def run(args) -> int:
    from lpds_ros.prior.export import export

    named = dict(name=args.name, licence=args.licence, overwrite=args.overwrite, delay=args.delay)
    bundle = export(args.checkpoint, args.out, **named)
    sampler = bundle.sampler
    print(f"{bundle.path}: {bundle.kind} prior '{bundle.name}', {sampler.name} with {sampler.steps} steps")
    print(f"  digest {bundle.digest}")
    for name, entry in sorted(bundle.info.files.items()):
        print(f"  {name:<20} {entry.bytes:>10} bytes  sha256 {entry.sha256[:12]}")
    return 0
