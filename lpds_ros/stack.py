"""One running stack: the processes of a plan, the lease on their ROS domain, their start and end. No ROS here."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from lpds_ros.arguments import LaunchError
from lpds_ros.bringup import Plan, Process
from lpds_ros.environment import ros_environment
from lpds_ros.included import unstartable
from lpds_ros.lease import Lease, LeaseError, domain_lease_path
from lpds_ros.processes import Command, Exit, Supervisor
from lpds_ros.run_folder import LOGS, node_file, open_run

POLL_S = 0.1
RUNNER = "lpds_ros.nodes"


@dataclass(frozen=True)
class Outcome:
    """Why a run ended. code: of the whole command, 0 when it was asked to end or had done its episodes."""

    reason: str
    code: int
    lines: tuple[str, ...] = ()


class Stack:
    """Start, watch and end the processes of `plan`. Nothing is left behind when the `with` block ends.

    echo: called with (process, line). Raises LaunchError when the ROS domain already carries a stack,
    and for a plan that includes what only `ros2 launch` starts.
    """

    def __init__(self, plan: Plan, echo: Callable[[str, str], None] | None = None):
        if plan.beside:
            raise unstartable(plan.beside)
        self.plan = plan
        self._lease = _claim_domain(plan)
        try:
            open_run(plan)
            self._supervisor = Supervisor(
                plan.run_dir / LOGS,
                environment=ros_environment(plan.run_dir),
                echo=echo,
                keep_fds=(self._lease.fileno(),),
            )
        except BaseException:
            self._lease.release()
            raise

    @property
    def running(self) -> dict[str, int]:
        """Name to process id."""
        return self._supervisor.running

    def __enter__(self):
        try:
            for process in self.plan.processes:
                self._supervisor.start(command(self.plan, process))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.killed = self._supervisor.stop()
        finally:
            self._lease.release()

    def wait(
        self,
        stop: threading.Event,
        *,
        each: Callable[[], None] = lambda: None,
        report: Callable[[Exit], None] = lambda _: None,
    ) -> Outcome:
        """Return when `stop` is set or a process whose end is the run's has ended.

        each: called every 0.1 s. report: called with every end that the run survives.
        """
        while not stop.wait(POLL_S):
            for ended in self._supervisor.poll():
                if not ended.fatal:
                    report(ended)
                elif ended.code == 0:
                    return Outcome(f"{ended.name} has ended as asked", 0)
                else:
                    return Outcome(str(ended), 1, (*ended.tail, f"(the whole log: {ended.log})"))
            each()
        return Outcome("asked to stop", 0)


def _claim_domain(plan: Plan) -> Lease:
    domain = os.environ.get("ROS_DOMAIN_ID", "0") or "0"
    try:
        return Lease(domain_lease_path(domain, plan.namespace), {"run folder": str(plan.run_dir)})
    except LeaseError as error:
        holder = ", ".join(f"{key} {value}" for key, value in error.holder.items()) or "unknown"
        other = (int(domain) + 1) % 102 if domain.isdigit() else 1
        raise LaunchError(
            f"ROS domain {domain} already carries a stack ({holder}): stop it, or start this one beside it with "
            f"ROS_DOMAIN_ID={other}"
        ) from None


def command(plan: Plan, process: Process) -> Command:
    """The command line of one node; its parameters travel in a file, so that their types are exact."""
    argv = [sys.executable, "-m", f"{RUNNER}.{process.executable}", "--ros-args"]
    argv += ["-r", f"__ns:={plan.namespace}"] if plan.namespace else []
    argv += ["-r", f"__node:={process.name}"]
    argv += ["--params-file", str(node_file(plan.run_dir, process))]
    return Command(process.name, tuple(argv), process.essential, process.restarts, process.nice, process.terminal)


@contextlib.contextmanager
def stop_on_signal():
    """An Event that SIGINT, SIGTERM and SIGHUP set; the handlers of before come back at the end. Main thread only."""
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
