"""Real processes for the stack tests: started by `lpds` in this test process's own ROS domain, counted afterwards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from waiting import wait_for

# A run of many processes on a machine that stalls; one that works ends as soon as it is done.
RUN_PATIENCE_S = 240.0
ROOT = Path(__file__).resolve().parent.parent.parent


def lpds(*words, **options) -> subprocess.Popen:
    """Start `lpds …`, output merged and piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "lpds_ros.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        **options,
    )


def belonging_to(run_dir) -> dict[int, str]:
    """Living processes whose command line names the run folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(run_dir) in line:
                found[int(entry.name)] = line
    return found


class Launched:
    """One `lpds launch` or `lpds demo`: its output so far, and its end."""

    def __init__(self, run_dir: Path, *words):
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        self.run_dir, self._output = run_dir, run_dir.with_name(f"{run_dir.name}.{time.monotonic_ns()}.out")
        with self._output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lpds_ros.cli", *words, f"run_dir:={run_dir}"], stdout=out, stderr=out, cwd=ROOT
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str):
        """Until the output has it; a failure when the run ends without."""
        self.until(lambda: text in self.output or self.process.poll() is not None, f"{text!r} in {self._output}")
        assert text in self.output, self.output

    def until(self, condition, what: str):
        """The first true value of `condition`."""
        return wait_for(condition, what, timeout_s=RUN_PATIENCE_S)

    def end(self, number=None) -> int:
        """Wait for the end, after signal `number` where given; the exit code."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(RUN_PATIENCE_S)

    def kill_all(self):
        """Whatever a failed test has left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in belonging_to(self.run_dir):
            os.kill(pid, signal.SIGKILL)
