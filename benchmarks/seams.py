"""Chunks decoded ahead on a simulated task: the command's step from one chunk to the next, and the share that succeeds.

A step is the Euclidean distance between the translations of two rows that ran one after the other, in the unit of an action (1 is
the contract's translation_scale_m). In lockstep, in one process: how busy the machine is does not show.

    # lift16.yaml: config/contracts/lift.yaml with horizons: {observed: 1, predicted: 16, executed: 8, delay: 4}
    lpds prior train --demos models/demos/lift.hdf5 --contract lift16.yaml --out runs/lift16
    lpds prior export --checkpoint runs/lift16 --out runs/lift16/bundle --prefix
    python benchmarks/seams.py runs/lift16/bundle --episodes 200
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lpds_ros.contract import Contract
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.session import DecoderSession
from lpds_ros.rollout import Evaluation, Rollout, make_core
from lpds_ros.steering.params import SteeringParams


def measure(contract: Contract, decoder: DecoderSession, params: SteeringParams, seeds: range, label: str):
    """(Evaluation, steps across seams [S], steps within chunks [N])."""
    rollout = Rollout(contract, make_core(contract, decoder, seed=0, params=params))
    seams, inside, ended = [], [], []
    for index, seed in enumerate(tqdm(seeds, desc=label, leave=False, dynamic_ncols=True)):
        last = None
        for _, decision, episode in rollout.episode(index, seed):
            if decision is not None:
                rows = decision.executed[: decision.ticks, :3]
                seams += [] if last is None else [np.linalg.norm(rows[0] - last)]
                inside.extend(np.linalg.norm(np.diff(rows, axis=0), axis=1))
                last = rows[-1]
            if episode is not None:
                ended.append(episode)
    return Evaluation(tuple(ended)), np.array(seams), np.array(inside)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="exported with --prefix, under a contract with a delay")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 8])
    args = parser.parse_args()
    bundle = load_bundle(args.bundle)
    contract, decoder = bundle.contract, DecoderSession(bundle, "cpu")
    print(f"{bundle.name}: {bundle.kind}, {bundle.sampler.name} {bundle.sampler.steps}, {contract.horizons}")
    print("| prefix | candidates | seam: mean | p90 | within a chunk: mean | p90 | success | 95 % interval |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for candidates in args.candidates:
        for prefix in (False, True):
            params = SteeringParams(candidates=candidates, prefix=prefix)
            seeds, words = range(args.episodes), "on" if prefix else "off"
            found, *steps = measure(contract, decoder, params, seeds, f"{words}, {candidates}")
            low, high = found.interval
            shown = " | ".join(f"{of(values):.3f}" for values in steps for of in (np.mean, lambda v: np.percentile(v, 90)))
            print(f"| {words} | {candidates} | {shown} | {found.success:.3f} | {low:.2f} to {high:.2f} |", flush=True)


if __name__ == "__main__":
    main()
