"""SIGKILL of the recorder and the learner of a running stack, in lockstep, while episodes run."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lpds_ros.data.rollout_log import read_log
from lpds_ros.faults.live import Live
from lpds_ros.records import Decision

SETTLE_S = 90.0
PAUSE_S = (0.2, 3.0)  # between a node's being back and the next kill


def killed_nodes(
    folder: Path, kills: int, seed: int, words: tuple[str, ...], stop: threading.Event, say: Callable[[str], None]
) -> dict:
    """Until `stop`, kill one of the two, wait until it is back; afterwards {kills, decisions, lost, doubled, wrong, …} by ids.

    lost: ids below the highest that was heard and in no log. doubled: ids that the log gives twice. wrong: decisions more or
    fewer in the learner's replay than in the logs at the end.
    """
    rng, count = random.Random(seed), Counter()
    with Live(folder, "clock:=lockstep", *words) as live:
        node = live.probe.node
        heard = {}

        def listen():
            while node.decisions:
                session, number = node.decisions.popleft().said
                heard[session] = max(heard.get(session, -1), number)

        for kill in range(kills):
            if stop.is_set():
                break
            name = rng.choice(("recorder", "learner"))
            time.sleep(rng.uniform(*PAUSE_S))
            pid, before = live.pid(name), time.time_ns()
            live.signal(name)
            count[name] += 1
            if not live.respawned(name, pid):
                raise RuntimeError(f"{name} was not started again")
            back = "recording to" if name == "recorder" else ""
            live.said(before, name, back, SETTLE_S) if back else live.until(
                lambda before=before: node.learner and node.learner[-1].at_ns > before, SETTLE_S
            )
            listen()
            if kill % 5 == 4:
                say(f"{kill + 1} kills ({dict(count)}), {sum(heard.values()) + len(heard)} decisions")
        live.probe.trigger("lpds/stop")
        time.sleep(2.0)
        listen()
        wanted = {(session, number) for session, last in heard.items() for number in range(last + 1)}

        def kept():
            return node.learner[-1].said.decisions == len(wanted)

        live.until(kept, SETTLE_S)
        replay = node.learner[-1].said.decisions
    found = Counter(record.key for _, record in read_log(live.run_dir) if isinstance(record, Decision))
    return {
        "kills": count.total(),
        **{f"of the {name}": number for name, number in count.items()},
        "decisions": len(wanted),
        "lost": len(wanted - found.keys()),
        "doubled": sum(number > 1 for number in found.values()),
        "wrong": abs(replay - len(wanted)),
        "log files": len(list(live.run_dir.glob("rollouts*.mcap"))),
    }
