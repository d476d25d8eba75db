"""Expert episodes recorded in parallel, each into a file of its own, until enough of them have succeeded.

Episode i has seed `first_seed` + i and is the same however many processes there are, so a set is the first successes in the
order of their seeds. An interrupted collection goes on from the files that are there; a half-made episode leaves none.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from lpds_ros.bench.demonstrations import read_demonstrations, save_demonstrations
from lpds_ros.bench.results import differences
from lpds_ros.bench.task import BenchError
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.durable import write_whole

Recorder = Callable[[int, Callable[[], bool]], Demonstration | None]
POLL_S = 0.2
TRIES, SPARE = 5, 10  # given up after wanted · TRIES + SPARE episodes

_stop = None  # in a worker: the event that ends it, given by `_begin`


def collect(
    record: Recorder,
    folder: Path,
    wanted: int,
    *,
    first_seed: int,
    identity: dict,
    jobs: int = 1,
    on_progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Demonstration] | None:
    """The first `wanted` successful episodes, their files in `folder`; None when stopped before (the same call goes on).

    record: (seed, should_stop) → the episode, or None when stopped; a module's function or a partial of one. identity: plain
    JSON of all that decides an episode beside its seed. Raises BenchError when the folder holds episodes of another
    identity, when too few succeed, and when a worker dies.
    """
    _claim(folder, identity)
    found, tried, waiting, seed = [], 0, deque(), first_seed
    context = multiprocessing.get_context("spawn")
    event = context.Event()
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(event,)) as pool:
        try:
            while len(found) < wanted:
                # more than run, so that a long episode at the head holds nobody up; none that cannot be wanted
                while len(waiting) < min(2 * jobs, wanted - len(found)):
                    waiting.append((seed, _find(pool, record, folder, seed)))
                    seed += 1
                head, future = waiting.popleft()
                while not should_stop() and not future.done():
                    time.sleep(POLL_S)
                if should_stop():
                    return None
                demo, cpu_s = future.result()
                tried += 1
                if demo.success:
                    found.append(demo)
                if cpu_s is not None:
                    outcome = "succeeded" if demo.success else "failed"
                    counts = f"{len(found)} of {wanted} wanted, {tried} tried"
                    on_progress(f"seed {head} {outcome} after {len(demo)} steps, {cpu_s:.0f} s CPU ({counts})")
                if tried >= TRIES * wanted + SPARE:
                    raise BenchError(f"{folder}: only {len(found)} of {tried} episodes succeeded, {wanted} wanted")
        except BrokenProcessPool:
            raise BenchError(f"{folder}: a worker died (memory?); the same command goes on, with fewer --jobs") from None
        finally:
            event.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return found


def _claim(folder: Path, identity: dict):
    """Mark the folder with what its episodes come from. Raises BenchError when it is marked otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "expert.json"
    identity = json.loads(json.dumps(identity))
    if not path.exists():
        write_whole(path, json.dumps(identity, indent=1).encode())
        return
    changed = differences(json.loads(path.read_text()), identity)
    if changed:
        raise BenchError(
            f"{folder}: its episodes were made otherwise ({', '.join(changed)}); remove the folder to make them anew"
        )


def _find(pool: ProcessPoolExecutor, record: Recorder, folder: Path, seed: int) -> Future:
    """The episode of a seed with the CPU seconds it took (None: read from its file), now or later."""
    path = folder / f"{seed}.npz"
    if not path.exists():
        return pool.submit(_work, record, path, seed)
    done = Future()
    done.set_result((read_demonstrations(path, f"rm {path}, then the same command")[0], None))
    return done


# In the workers


def _begin(event):
    """Leave Ctrl-C to the process that collects, and do not outlive it."""
    global _stop
    _stop = event
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _work(record: Recorder, path: Path, seed: int):
    started = time.process_time()
    demo = record(seed, _stop.is_set)
    if demo is not None:
        save_demonstrations(path, [demo])
    return demo, time.process_time() - started
