"""The whole stack in real time, from the robot's state to the command, by stage, with the learner at full load.

A listener beside the nodes takes the stamps that the messages carry and the moments at which they reach it; both are of one
clock. What is counted to the listener includes its own delivery, so the stages are upper bounds. The robot is the simulation,
which takes most of a core.

    python benchmarks/stack.py --minutes 5 [name:=value …]        launch arguments; Ctrl-C ends it with what there is
"""

import argparse
import json
import os
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lpds_ros.nodes.base import LpdsNode, Spinner  # isort: skip (sets what rclpy reads at its first import)
import rclpy
from geometry_msgs.msg import PoseStamped
from lpds_msgs.msg import Decision, LearnerStatus, Observation, SteeringStatus
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from lpds_ros.arguments import parse
from lpds_ros.bench.results import provenance
from lpds_ros.bringup import plan
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_ns
from lpds_ros.perception.align import PICTURED, ROBOT_AGE, TASK_AGE
from lpds_ros.run_folder import LOGS
from lpds_ros.stack import Stack, stop_on_signal

BUSY = "warmup_decisions: 30\ncritic_warmup_updates: 0\nupdates_per_decision: 1000\n"  # more than any machine makes
SETTLE_S = 5.0
PERCENTS = (50, 99, 99.9, 100)
POSE = "franka_robot_state_broadcaster/current_pose"
FURTHER = (TASK_AGE, ROBOT_AGE)


class Listener(LpdsNode):
    """Keeps the stages, in ms, and the newest statuses."""

    NAME = "stack_benchmark"

    def set_up(self):
        self.stages: dict[str, list[float]] = defaultdict(list)
        self.steering = self.learner = None
        self.up_s = self._count_from_s = 0.0
        self._seen_ns = self._latest_ns = 0
        self.create_subscription(PoseStamped, POSE, self._on_pose, qos.ROBOT_STATE)
        self.create_subscription(Observation, "lpds/observation", self._on_observation, qos.CONTROL)
        self.create_subscription(PoseStamped, "target_pose", self._on_target, qos.TARGET_REALTIME)
        self.create_subscription(SteeringStatus, "lpds/steering_status", self._on_steering, qos.CONTROL)
        self.create_subscription(LearnerStatus, "lpds/learner_status", lambda m: setattr(self, "learner", m), qos.CONTROL)
        self.create_subscription(Decision, "lpds/decision", self._on_decision, qos.RECORD)
        self._pictured_ns = 0  # when the oldest picture of the latest observation was taken
        self._images: tuple[str, ...] = ()

    def watch(self, contract):
        """Listen to the contract's cameras too."""
        self._images = tuple(contract.images)
        for name in self._images:
            topic, stage = contract.streams[name].topic, f"picture '{name}': stamp to listener"
            self.create_subscription(Image, topic, lambda m, s=stage: self._add(s, age_s(m)), qos.IMAGE)

    def _add(self, stage: str, seconds: float):
        if self.steering is not None and time.monotonic() > self._count_from_s:
            self.stages[stage].append(1e3 * seconds)

    def _on_pose(self, message):
        self._add("robot state: stamp to listener", age_s(message))

    def _on_observation(self, message):
        ages = [age for name, age in zip(message.streams, message.ages_s) if name not in FURTHER and PICTURED not in name]
        self._add("oldest stream of the observation: its age", max(ages, default=0.0))
        self._add("observation: stamp to listener", age_s(message))
        self._latest_ns = stamp_ns(message.header.stamp)
        self._pictured_ns = 0
        if self._images and message.valid:
            ages_s = dict(zip(message.streams, message.ages_s))
            for name in self._images:
                self._add(f"picture '{name}': stamp to the observation's", ages_s[name])
            self._add("encoders, of all pictures of an observation", message.encode_s)
            self._pictured_ns = self._latest_ns - round(1e9 * max(ages_s[name] for name in self._images))

    def _on_target(self, message):
        self._add("command: stamp to listener", age_s(message))
        if self._latest_ns != self._seen_ns:  # the first command after an observation came
            self._seen_ns = self._latest_ns
            self._add("observation's stamp to the command's", (stamp_ns(message.header.stamp) - self._latest_ns) / 1e9)
            if self._pictured_ns:
                self._add("oldest picture's stamp to the command's", (stamp_ns(message.header.stamp) - self._pictured_ns) / 1e9)

    def _on_decision(self, message):
        self._add("decode of a chunk", message.decode_s)

    def _on_steering(self, message):
        if self.steering is None:
            self.up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            self._count_from_s = time.monotonic() + SETTLE_S
        self.steering = message


def age_s(message) -> float:
    return (time.time_ns() - stamp_ns(message.header.stamp)) / 1e9


def resident_mb(pid: int) -> float:
    """Memory of a process that is present, its own and shared, MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def started_s(pid: int) -> float:
    """When a process started, seconds of CLOCK_BOOTTIME."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def measure(words: list[str], seconds: float) -> dict:
    """Run the stack and return the figures."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    todo = plan(parse(words))
    listener = Listener(context=context)
    listener.watch(todo.contract)
    spinner = Spinner(listener)
    bar, began_s, memory = tqdm(total=round(seconds), unit="s", disable=None), time.monotonic(), {}
    with stop_on_signal() as stop, Stack(todo) as stack:
        steering = started_s(stack.running["steering"])

        def each():
            passed_s = time.monotonic() - began_s
            bar.update(int(passed_s) - bar.n)
            if passed_s > seconds:
                memory.update({name: resident_mb(pid) for name, pid in stack.running.items()})
                stop.set()

        outcome = stack.wait(stop, each=each)
    bar.close()
    spinner.end()
    if outcome.code or listener.steering is None:
        raise SystemExit("\n".join([outcome.reason, *outcome.lines]))
    status, learner = listener.steering, listener.learner
    log = (todo.run_dir / LOGS / "perception.log").read_text()
    return {
        "stages_ms": {name: list(np.percentile(values, PERCENTS)) for name, values in listener.stages.items()},
        "perception": re.findall(r"\]: (pictures of .*)", log),
        "steering_start_s": listener.up_s - steering,
        "memory_mb": memory,
        "ticks": status.ticks,
        "missed": status.missed_deadlines,
        "lateness_p99_ms": 1e3 * status.lateness_p99_s,
        "updates_per_s": learner.updates_per_s if learner else None,
        "weights_version": status.weights_version,
    }


def show(found: dict):
    """Tables."""
    print("| stage, ms | p50 | p99 | p99.9 | most |\n|---|---:|---:|---:|---:|")
    for name, values in sorted(found["stages_ms"].items()):
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    print(
        f"\n{found['ticks']} ticks, {found['missed']} missed, late p99 {found['lateness_p99_ms']:.2f} ms; "
        f"learner {found['updates_per_s'] or 0:.0f} updates/s, version {found['weights_version']}; "
        f"steering's first status {found['steering_start_s']:.2f} s after its start"
    )
    for line in found["perception"]:
        print(f"perception's own account: {line}")
    print("memory, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in found["memory_mb"].items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        busy = Path(folder) / "busy.yaml"
        busy.write_text(BUSY)
        words = ["clock:=realtime", f"learner_config:={busy}", f"run_dir:={folder}/run", *args.arguments]
        found = measure(words, 60.0 * args.minutes)
    show(found)
    if args.json:
        args.json.write_text(json.dumps(found | {"arguments": args.arguments} | provenance(), indent=1) + "\n")


if __name__ == "__main__":
    main()
