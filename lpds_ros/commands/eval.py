"""`lpds eval`: success of the prior, or of an actor on it, over fixed seeds. No ROS: the same cores, one process a job."""

import json
import multiprocessing
from dataclasses import asdict
from pathlib import Path

from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.encoders import EncoderSession
from lpds_ros.prior.session import DecoderSession
from lpds_ros.resources import resource
from lpds_ros.robot.command_modes import COMMAND_MODES
from lpds_ros.rollout import Evaluation, Rollout, evaluate, make_core
from lpds_ros.steering.params import SteeringParams
from lpds_ros.weights import MAX_BYTES, WeightsError, unpack_weights

HELP = "run fixed seeds in simulation and report success, returns, lengths, interval and versions"


def add_arguments(parser):
    parser.add_argument("--bundle", help="bundle directory, or a name under models/ (default: the task's)")
    parser.add_argument(
        "--actor", default="none", help="weights of the actor (.safetensors), or none: the frozen prior"
    )
    add_common_arguments(parser)


def add_common_arguments(parser):
    """The options `lpds eval` and `lpds prior eval` share."""
    parser.add_argument("--task", default="lift", help="task of the contract (default lift)")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="first of the consecutive episode seeds (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes; the result does not depend on it")
    parser.add_argument("--provider", default="cpu", help="auto, cpu, cuda, tensorrt or openvino (default cpu)")
    parser.add_argument("--variant", default="fp32", help="of the bundle's decoder: fp32 or int8 (default fp32)")
    modes = ", ".join(COMMAND_MODES)
    parser.add_argument("--command-mode", default="cartesian_pose", choices=COMMAND_MODES, help=f"how the arm is told: {modes}")
    parser.add_argument("--json", type=Path, help="write the result here")


def find_bundle(name: str | None, task: str) -> Path:
    """A path as given, or models/<name>; without a name the task's own bundle."""
    if name and Path(name).is_dir():
        return Path(name)
    return resource(f"models/{name or task}")


def read_actor(path: str, contract, prior_digest: str):
    """Parameters of an actor file, or None for "none". Raises WeightsError."""
    if path == "none":
        return None
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"{file}: no such weights; expected a .safetensors file of a run's actor/ folder, or none")
    if file.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{file}: {file.stat().st_size} bytes, more than the {MAX_BYTES} accepted")
    return unpack_weights(file.read_bytes(), contract=contract, prior_digest=prior_digest)


def _job(arguments):
    """One process' share of the seeds. Module level, so that it can be sent to a fresh interpreter."""
    bundle_path, actor_path, provider, variant, command_mode, seeds = arguments
    bundle, params = load_bundle(bundle_path), SteeringParams()
    actor = read_actor(actor_path, bundle.contract, bundle.digest)
    decoder = DecoderSession(bundle, provider=provider, variant=variant)
    core = make_core(bundle.contract, decoder, seed=0, actor=actor, params=params)
    mode = params.command_mode(command_mode, bundle.contract.period_s)
    rollout = Rollout(bundle.contract, core, encode=EncoderSession(bundle).encode, command_mode=mode)
    try:
        return evaluate(rollout, seeds).episodes
    finally:
        rollout.close()


def run(args) -> int:
    bundle = load_bundle(find_bundle(args.bundle, args.task))
    if bundle.contract.task != args.task:
        raise ValueError(f"bundle {bundle.path} is for task '{bundle.contract.task}', not '{args.task}'")
    if args.episodes < 1 or args.jobs < 1:
        raise ValueError("--episodes and --jobs must be at least 1")
    actor = read_actor(args.actor, bundle.contract, bundle.digest)
    seeds = list(range(args.seed, args.seed + args.episodes))
    bundle.variant(args.variant)
    setting = (bundle.path, args.actor, args.provider, args.variant, args.command_mode)
    shares = [(*setting, seeds[i : i + 5]) for i in range(0, len(seeds), 5)]
    episodes = []
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for done in pool.imap(_job, shares):
            episodes.extend(done)
            won = sum(e.success for e in episodes)
            print(f"\r{len(episodes)}/{len(seeds)} episodes, {won} succeeded", end="", flush=True)
    print()
    report(Evaluation(tuple(episodes)), bundle, actor, args)
    return 0


def report(evaluation: Evaluation, bundle, actor, args):
    """Print the line people read and write the JSON that programs read."""
    low, high = evaluation.interval
    version = actor.version if actor else 0
    lengths = [e.ticks for e in evaluation.episodes]
    print(
        f"{args.task}: success {100 * evaluation.success:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f}) "
        f"over {len(lengths)} episodes, mean length {sum(lengths) / len(lengths):.0f} ticks, actor version {version}"
    )
    if args.json:
        result = {
            "task": args.task,
            "success": evaluation.success,
            "interval_95": [low, high],
            "mean_return": sum(e.episode_return for e in evaluation.episodes) / len(lengths),
            "mean_ticks": sum(lengths) / len(lengths),
            "actor_version": version,
            "actor_updates": actor.updates if actor else 0,
            "prior_digest": bundle.digest,
            "variant": args.variant,
            "command_mode": args.command_mode,
            "contract_digest": bundle.contract.digest,
            "episodes": [asdict(e) for e in evaluation.episodes],
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written to {args.json}")
