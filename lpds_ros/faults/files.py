"""F19, F26, F28 to F30: a dual that explodes, logs and checkpoints that were cut, configurations and files that mean harm."""

import math
import os
import pickle
import random
import time
from pathlib import Path

import numpy as np
import torch

from lpds_ros.config import ConfigError
from lpds_ros.contract import load_contract
from lpds_ros.data.demos import read_demos
from lpds_ros.data.rollout_log import RolloutLogWriter, read_log
from lpds_ros.environment import defaults
from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.kill import killed_checkpoints, killed_logs
from lpds_ros.faults.pushes import actor
from lpds_ros.faults.samples import decisions, learner
from lpds_ros.faults.standin import lift
from lpds_ros.learning.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lpds_ros.learning.config import load_learner_config
from lpds_ros.prior.bundle import BundleError, load_bundle
from lpds_ros.records import Decision
from lpds_ros.resources import resource
from lpds_ros.weights import WeightsError, pack_weights, unpack_weights

DAMAGES = 60
KILLS = 10  # of each kind within the campaign; `lpds faults kill` does hundreds


@case("F19", "the actor's loss is not finite", "no step is taken, nothing more is pushed; said in the status", "core")
def loss_not_finite(folder):
    subject = learner()
    for decision in decisions(40):
        subject.add(decision)
    subject.update()
    before = [p.detach().clone() for p in subject.actor.parameters()]
    with torch.no_grad():
        next(iter(subject.noise_critic.parameters())).fill_(math.nan)
    subject.update()
    same = all(torch.equal(a, b) for a, b in zip(before, subject.actor.parameters()))
    return Finding(bool(subject.frozen) and same, subject.frozen or "it went on", recovered="after a person")


@case("F19", "a checkpoint whose dual is NaN, negative", "refused, saying what to do", "core")
def bad_dual(folder):
    said = []
    for alpha in (math.nan, -1.0):
        subject = learner()
        subject.alpha = alpha
        save_checkpoint(subject, folder / "checkpoint")
        try:
            load_checkpoint(learner(), folder / "checkpoint")
        except CheckpointError as error:
            said.append(str(error))
    return Finding(len(said) == 2, said[0] if said else "it was loaded", recovered="after a person")


@case("F19", "a dual of 1e30", "clamped", "core")
def dual_explodes(folder):
    subject = learner()
    for decision in decisions(40):
        subject.add(decision)
    subject.alpha = 1e30
    while subject.owed and subject.alpha > 1e4:
        subject.update()
    return Finding(0.0 <= subject.alpha <= 1e4, f"the dual is {subject.alpha:.3g} after {subject.updates} updates")


def _log(folder: Path, count: int = 40) -> tuple[Path, list[Decision]]:
    folder.mkdir(parents=True, exist_ok=True)
    path, written = folder / "rollouts.mcap", decisions(count)
    with RolloutLogWriter(path, lift()) as log:
        for decision in written:
            log.write_decision(decision)
    return path, written


@case("F26", f"a log cut at {DAMAGES} places", "every whole decision before it is read; said; no crash", "core")
def cut_logs(folder):
    path, written = _log(folder)
    content, rng, lost = path.read_bytes(), random.Random(0), 0
    begins = [content.index(d.noise.tobytes()) for d in written]
    for _ in range(DAMAGES):
        cut = rng.randrange(len(content))
        path.write_bytes(content[:cut])
        found = [r.decision_id for _, r in read_log(path)]
        whole = sum(following <= cut for following in begins[1:])  # the one before is whole where its next has begun
        lost += max(0, whole - len(found)) + (found != list(range(len(found))))
    note = f"{DAMAGES} cuts of a log of {len(content)} bytes: {lost} whole decisions lost"
    return Finding(lost == 0, note, lost=lost, doubled=0)


@case("F26", f"a log with one bit flipped, {DAMAGES} times", "at most the one that was hit is missing; said; no crash", "core")
def flipped_logs(folder):
    path, written = _log(folder)
    content, rng = path.read_bytes(), random.Random(1)
    first, last = content.index(written[0].noise.tobytes()), content.index(written[-1].noise.tobytes())
    by_id = {d.decision_id: d for d in written}
    worst, wrong = 0, 0
    for _ in range(DAMAGES):
        spoilt = bytearray(content)
        spoilt[rng.randrange(first, last)] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        found = [r for _, r in read_log(path)]
        worst = max(worst, len(written) - len(found))
        wrong += sum(not np.array_equal(d.noise, by_id[d.decision_id].noise) for d in found if d.decision_id in by_id)
    note = f"{DAMAGES} flips: at most {worst} of {len(written)} decisions missing, {wrong} passed on wrong"
    return Finding(wrong == 0 and worst <= 1, note, lost=worst, doubled=0)


@case("F26", "a transition with a NaN in the log", "left out, said; the others are learned from", "core")
def nan_transition(folder):
    subject, said = learner(), ""
    for decision in decisions(10):
        if decision.decision_id == 4:
            broken = decision.observation.copy()
            broken[0] = np.nan
            decision = type(decision)(**{**vars(decision), "observation": broken})
        try:
            subject.add(decision)
        except ValueError as error:
            said = str(error)
    return Finding(subject.replay.total == 9 and "not finite" in said, said)


@case("F28", "SIGKILL while a checkpoint is written", "the old one or the new, whole", "core")
def checkpoint_killed(folder):
    count, bad = killed_checkpoints(folder, KILLS, seed=0)
    return Finding(bad == 0, f"{count} kills, {bad} checkpoints that could not be loaded", recovered="by itself")


@case("F28", "SIGKILL while the log is written", "every decision that was written is read, once", "core")
def log_killed(folder):
    result = killed_logs(folder, KILLS, seed=0)
    note = f"{result.kills} kills, {result.written} decisions, {result.lost} lost, {result.doubled} doubled"
    return Finding(not (result.lost or result.doubled), note, recovered="by itself", lost=result.lost, doubled=result.doubled)


@case("F29", "unknown key, wrong type, negative, NaN, repeated key, YAML bomb", "refused with file, line, nearest key", "core")
def bad_configurations(folder):
    text = resource("config/contracts/lift.yaml").read_text()
    bomb = "a: &a [x, x, x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi"))
    broken = {
        "unknown key": (load_contract, text.replace("rate_hz", "rate_hertz")),
        "wrong type": (load_contract, text.replace("rate_hz: 20.0", "rate_hz: 20 Hz")),
        "negative": (load_contract, text.replace("rate_hz: 20.0", "rate_hz: -20.0")),
        "NaN": (load_contract, text.replace("rate_hz: 20.0", "rate_hz: .nan")),
        "repeated key": (load_contract, text + "task: lift\n"),
        "bomb": (load_contract, bomb),
        "a learner's unknown key": (load_learner_config, "critic_widht: 16\n"),
        "a learner's negative rate": (load_learner_config, "learning_rate: -1.0\n"),
    }
    said, slow = {}, 0.0
    for name, (load, content) in broken.items():
        path = folder / f"{name.replace(' ', '_')}.yaml"
        path.write_text(content)
        began = time.perf_counter()
        try:
            load(path)
        except ConfigError as error:
            said[name] = str(error)
        slow = max(slow, time.perf_counter() - began)
    taken = broken.keys() - said.keys()
    unplaced = sorted(name for name, text_ in said.items() if ".yaml:" not in text_)
    note = f"{len(said)} of {len(broken)} refused, the slowest after {1e3 * slow:.0f} ms; {said.get('unknown key', '')}"
    note += f"; TAKEN: {', '.join(sorted(taken))}" if taken else ""
    note += f"; without a line: {', '.join(unplaced)}: {said[unplaced[0]]}" if unplaced else ""
    return Finding(not taken and not unplaced, note)


class _Bomb:
    """Unpickled, it leaves a file: the proof that foreign code has run."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


@case("F30", "pickles, oversized headers, paths out of the folder", "refused, whatever they pose as; no code ran", "core")
def malicious(folder):
    proof = folder / "code_ran"
    bad = pickle.dumps(_Bomb(proof))
    bundle = load_bundle(resource("models/lift"))
    said = []

    def refused(call, *errors):
        try:
            call()
        except errors as error:
            said.append(str(error))

    good = pack_weights(actor(bundle, 1))
    blobs = (bad, (1 << 62).to_bytes(8, "little") + good[8:], b"\xff" * 64, good[:7])
    for blob in blobs:
        refused(lambda blob=blob: unpack_weights(blob, contract=bundle.contract, prior_digest=bundle.digest), WeightsError)
    (folder / "pickle.hdf5").write_bytes(bad)
    refused(lambda: read_demos(folder / "pickle.hdf5", bundle.contract), ValueError, OSError)
    for name, old, new in (("golden", "golden.npz", "../golden.npz"), ("absolute", "decoder.onnx", "/etc/passwd")):
        place = folder / name
        place.mkdir()
        for file in resource("models/lift").iterdir():
            (place / file.name).write_bytes(file.read_bytes())
        manifest = (place / "bundle.yaml").read_text()
        (place / "bundle.yaml").write_text(manifest.replace(old, new))
        refused(lambda place=place: load_bundle(place), BundleError)
    pickled = folder / "pickled"
    pickled.mkdir()
    np.savez(pickled / "golden.npz", observation_1=np.array([_Bomb(proof)], object))
    refused(lambda: np.load(pickled / "golden.npz", allow_pickle=False)["observation_1"], ValueError)
    local = defaults().get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST"
    ran = proof.exists()
    note = f"{len(said)} of 8 refused, code ran: {ran}, discovery on this machine alone by default: {local}"
    return Finding(len(said) == 8 and not ran and local, note)


