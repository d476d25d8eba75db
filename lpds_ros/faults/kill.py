"""SIGKILL at random moments, without ROS: a log's writer, a learner and its checkpoints, each a process of its own.

A process is forked, fed through a pipe as the recorder and the learner are by steering's topics (what was said lately is said
again to one that starts), and killed at a random byte. Afterwards the ids of every decision are looked for.
"""

import os
import random
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from lpds_ros.data.definitions import Definitions
from lpds_ros.data.log_codec import decode, encode
from lpds_ros.data.log_sink import LogSink
from lpds_ros.data.rollout_log import RolloutLogError, RolloutLogWriter, read_log
from lpds_ros.faults.samples import decisions, learner
from lpds_ros.faults.standin import lift
from lpds_ros.learning.checkpoint import load_checkpoint, save_checkpoint
from lpds_ros.learning.worker import Worker
from lpds_ros.records import Decision

HISTORY = 1000  # decisions said again to a process that starts: the depth of lpds/decision
LIFE = 30  # new decisions in a life, at most
EARLY = 0.2  # share of the lives that end anywhere, also before what was said again is put away
LONGEST_S = 0.02  # between the last byte and the kill
TOPIC = "/lpds/decision"


@dataclass(frozen=True)
class Killed:
    """kills: processes killed. written: decisions said. lost, doubled: by their ids, afterwards. wrong: other disagreements."""

    kills: int
    written: int
    lost: int
    doubled: int
    wrong: int = 0


class _Child:
    """A forked process that runs `body(pipe, ready)`; `feed` sends it framed messages. Made once it has called `ready`: a process
    that is killed over and over before it is up takes nothing in, and what is said falls out of the history.
    """

    def __init__(self, body: Callable[[object, Callable], None]):
        reading, self._writing = os.pipe()
        up, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writing)
            code = 1
            try:
                with os.fdopen(reading, "rb") as pipe:
                    body(pipe, lambda: os.write(tell, b"1"))
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(reading)
        os.close(tell)
        self._up = up
        self.wait()

    def wait(self):
        """Until it has called `ready` once more: with b"" it is asked to, when it has put away what it was told before."""
        os.read(self._up, 1)

    def feed(self, messages: Iterable[bytes], share: float = 1.0):
        """Send messages, or the first share of their bytes. One that has died takes nothing more."""
        data = b"".join(struct.pack("<I", len(m)) + m for m in messages)
        view = memoryview(data)[: round(share * len(data))]
        try:
            while view:
                view = view[os.write(self._writing, view) :]
        except BrokenPipeError:
            pass

    def kill(self):
        """SIGKILL, and reap."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._writing)
        os.close(self._up)

    def end(self) -> int:
        """Close the pipe, wait for the process; its exit code."""
        os.close(self._writing)
        os.close(self._up)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _messages(pipe) -> Iterable[bytes]:
    while len(head := pipe.read(4)) == 4:
        (size,) = struct.unpack("<I", head)
        body = pipe.read(size)
        if len(body) < size:
            return
        yield body


def _lives(body, kills: int, rng: random.Random, new: Callable[[], list[bytes]], after=lambda: None) -> list[bytes]:
    """Start, feed and kill a process so often, then let one live to its end; every message that was said."""
    said: list[bytes] = []
    for _ in range(kills):
        fresh = new()
        child = _Child(body)
        history = said[-HISTORY:]
        if rng.random() < EARLY:
            child.feed(history + fresh, rng.random())
        else:
            child.feed([*history, b""])
            child.wait()
            child.feed(fresh, rng.random())
        said += fresh  # whoever lives next is told the last of them again
        time.sleep(rng.uniform(0.0, LONGEST_S))
        child.kill()
        after()
    child = _Child(body)
    child.feed(said[-HISTORY:])
    if child.end() != 0:
        raise RuntimeError("the last process did not end cleanly")
    return said


def _source(rng: random.Random, definitions: Definitions, also=lambda made: None):
    """A callable that gives the next few decisions, serialised."""
    count = 0

    def new() -> list[bytes]:
        nonlocal count
        made = decisions(rng.randint(1, LIFE), count)
        count += len(made)
        also(made)
        return [encode(definitions, decision)[1] for decision in made]

    return new


def killed_logs(folder: Path, kills: int, seed: int) -> Killed:
    """A recorder's sink, killed: what was said must be in the logs, and be given once."""
    rng, definitions, path = random.Random(seed), Definitions(), folder / "log" / "rollouts.mcap"
    typename, _ = encode(definitions, decisions(1)[0])

    def record(pipe, ready):
        sink = LogSink(path, lift())
        ready()
        for message in _messages(pipe):
            while not message and sink.status().waiting:
                time.sleep(0.001)
            if not message:
                ready()
                continue
            while not sink.put(TOPIC, typename, message):
                time.sleep(0.001)
        sink.close()

    said = _lives(record, kills, rng, _source(rng, definitions))
    keys = [r.key for _, r in read_log(path.parent) if isinstance(r, Decision)]
    return _counted(kills, len(said), keys)


def _counted(kills: int, said: int, keys: list[tuple[str, int]], wrong: int = 0) -> Killed:
    numbers = Counter(number for _, number in keys)
    lost = sum(number not in numbers for number in range(said))
    return Killed(kills, said, lost, sum(count > 1 for count in numbers.values()), wrong)


def killed_learners(folder: Path, kills: int, seed: int) -> Killed:
    """A learner, killed while it learns and checkpoints: its replay must hold each logged decision once, its versions rise."""
    rng, definitions = random.Random(seed), Definitions()
    run = folder / "learner"
    log = RolloutLogWriter(run / "rollouts.mcap", lift())
    typename, _ = encode(definitions, decisions(1)[0])
    report = run / "replay.txt"

    def logged():
        try:
            yield from (record for _, record in read_log(run) if isinstance(record, Decision))
        except RolloutLogError:
            return

    def learn(pipe, ready):
        subject = learner()
        nothing = lambda *_: None  # noqa: E731
        worker = Worker(
            subject, run, on_weights=nothing, on_progress=nothing, read_back=logged, log=nothing, checkpoint_s=0.005
        )
        load_checkpoint(subject, run / "checkpoint")
        for decision in logged():
            worker.offer(decision)
        worker.start()
        ready()
        for message in _messages(pipe):
            if message:
                worker.offer(decode(definitions, typename, message))
            else:
                ready()
        while worker.progress().decisions < known or worker.progress().backlog:
            if worker.error is not None:
                raise worker.error
            time.sleep(0.002)
        worker.stop()
        report.write_text(f"{subject.replay.total} {len(subject.replay.keys)} {subject.updates} {subject.version}")

    known, highest, fallen = 0, 0, 0

    def keep(made):
        nonlocal known
        for decision in made:
            log.write_decision(decision)
        known += len(made)

    def look():
        nonlocal highest, fallen
        versions = [int(p.stem[1:]) for p in (run / "actor").glob("v*.safetensors")]
        fallen += max(versions, default=0) < highest
        highest = max([highest, *versions])

    said = _lives(learn, kills, rng, _source(rng, definitions, keep), look)
    log.close()
    total, keys, updates, version = map(int, report.read_text().split())
    wrong = fallen + (version < highest) + (updates != total - learner().config.warmup_decisions)
    return Killed(kills, len(said), len(said) - keys, total - keys, wrong)


def killed_checkpoints(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """(kills, checkpoints afterwards that were missing, torn or of two writes)."""
    rng, place = random.Random(seed), folder / "checkpoint"
    subject, again = learner(), learner(1)
    bad = 0

    def write(pipe, ready):
        ready()
        while True:
            _fill(subject, subject.updates + 1)
            save_checkpoint(subject, place)

    _fill(subject, 1)
    save_checkpoint(subject, place)
    for _ in range(kills):
        child = _Child(write)
        time.sleep(rng.uniform(0.001, 0.06))
        child.kill()
        found = load_checkpoint(again, place)
        whole = found and all(bool((p == float(again.updates)).all()) for p in again.actor.parameters())
        bad += not whole
        subject.updates = again.updates
    return kills, bad


def _fill(subject, number: int):
    """Write the number of updates into every weight of the actor: two halves of two checkpoints would show."""
    subject.updates = number
    with torch.no_grad():
        for parameter in subject.actor.parameters():
            parameter.fill_(float(number))
