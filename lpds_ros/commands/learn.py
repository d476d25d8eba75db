"""`lpds learn`: LP-DS in simulation in one process, without ROS: the very cores of the lockstep stack, and no others' time.

Deterministic: the same bundle, seed and configuration give the same weights. `lpds demo` is the same with the robot's processes.
"""

import json
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path

from lpds_ros.arguments import LaunchError
from lpds_ros.bringup import seed_base
from lpds_ros.commands.eval import find_bundle
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.encoders import EncoderSession
from lpds_ros.prior.session import DecoderSession
from lpds_ros.rollout import Rollout, make_core

HELP = "learn in simulation in one process, without ROS: deterministic, and quick where processes wait for each other"
WINDOW = 50


def add_arguments(parser):
    parser.add_argument("--bundle", help="bundle directory, or a name under models/ (default: the task's)")
    parser.add_argument("--task", default="lift", help="task of the contract (default lift)")
    parser.add_argument("--episodes", type=int, default=800, help="default 800")
    parser.add_argument("--seed", type=int, default=0, help="of episodes, noise and learner (default 0)")
    parser.add_argument("--learner-config", type=Path, help="YAML of the learner's hyperparameters (default: its defaults)")
    parser.add_argument("--out", type=Path, required=True, help="folder for actor/ and episodes.jsonl")


def run(args) -> int:
    import torch

    from lpds_ros.learning.config import load_learner_config
    from lpds_ros.learning.lpds import Learner
    from lpds_ros.learning.store import ActorStore
    from lpds_ros.weights import pack_weights

    if args.out.exists():
        raise LaunchError(f"{args.out} exists: name another folder, or move it away")
    torch.set_num_threads(1)  # the sum of a product depends on how many there are
    bundle = load_bundle(find_bundle(args.bundle, args.task))
    decoder, config = DecoderSession(bundle, "cpu"), load_learner_config(args.learner_config)
    learner = Learner(
        bundle.contract,
        decoder.decode,
        prior_digest=bundle.digest,
        state_shift=bundle.state_shift,
        state_scale=bundle.state_scale,
        config=config,
        seed=args.seed,
    )
    core = make_core(bundle.contract, decoder, seed=args.seed)
    rollout = Rollout(bundle.contract, core, encode=EncoderSession(bundle).encode)
    args.out.mkdir(parents=True)
    store, pushed, won = ActorStore(args.out / "actor"), 0, []
    stop = threading.Event()

    def learn():
        nonlocal pushed
        while learner.owed and not (learner.frozen or stop.is_set()):
            learner.update()
            if learner.updates - max(pushed, config.critic_warmup_updates) >= config.push_every:
                parameters, pushed = learner.actor_parameters(), learner.updates
                store.write(parameters.version, pack_weights(parameters))
                core.install_weights(parameters)

    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    start_s = time.monotonic()
    try:
        with (args.out / "episodes.jsonl").open("w", buffering=1) as rows:
            for index in range(args.episodes):
                for _, decision, ended in rollout.episode(index, seed_base(args.seed) + index):
                    if decision is not None:
                        learner.add(decision)
                        learn()
                    if ended is not None:
                        won.append(ended.success)
                        rows.write(json.dumps(asdict(ended)) + "\n")
                last = won[-WINDOW:]
                print(
                    f"\r{index + 1}/{args.episodes} episodes, last {len(last)}: {100 * sum(last) / len(last):.0f} %, "
                    f"version {learner.version}, {time.monotonic() - start_s:.0f} s",
                    end="",
                    flush=True,
                )
                if stop.is_set():
                    break
    finally:
        signal.signal(signal.SIGINT, before)
        rollout.close()
    latest = args.out / "actor" / "latest.safetensors"
    print(f"\non fixed seeds: lpds eval --bundle {bundle.path} --actor {latest}" if latest.exists() else "\nno weights yet")
    return 0
