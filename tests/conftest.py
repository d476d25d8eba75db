"""Fixtures for the whole suite. `ros`: a ROS context of one test's own, in a domain of this pytest process's own."""

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lpds_ros.environment import apply_defaults

SAFE_DOMAINS = range(1, 102)  # above 101 the discovery ports may meet the kernel's ephemeral ones


def _claim_domain() -> tuple[int, object]:
    """A ROS domain no other test process on this machine uses, held by a file lock until this process ends."""
    folder = Path(tempfile.gettempdir()) / f"lpds_ros_domains.{os.getuid()}"
    folder.mkdir(exist_ok=True)
    first = os.getpid() % len(SAFE_DOMAINS)
    for offset in range(len(SAFE_DOMAINS)):
        domain = SAFE_DOMAINS[(first + offset) % len(SAFE_DOMAINS)]
        handle = open(folder / str(domain), "w")  # noqa: SIM115 (the lock lives as long as the handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
        else:
            return domain, handle
    raise RuntimeError(f"every ROS domain from 1 to 101 is taken; see who holds the locks in {folder}")


# At import, not in a fixture: the first message import of any test module reads ROS_PYTHON_CHECK_FIELDS, and child
# processes of stack tests inherit the rest. The tests' own isolation overrides what the shell has set.
DOMAIN, _DOMAIN_LOCK = _claim_domain()
os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="lpds_ros_log."))
apply_defaults()


class Ros:
    """A context, an executor spinning in a thread, and the nodes of one test.

    context: hand it to nodes under test. node(): a plain node for the test's own publishers and subscriptions.
    add(node): spin it too. wait(condition): until true. An exception in any callback is raised in the test.
    """

    def __init__(self, threads: int = 2):
        import rclpy
        from rclpy.executors import MultiThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.executor = MultiThreadedExecutor(threads, context=self.context)
        self.error: BaseException | None = None
        self._nodes: list = []
        self._ending = False
        self._thread = threading.Thread(target=self._spin, name="ros-fixture")
        self._thread.start()

    def _spin(self):
        try:
            while not self._ending:
                self.executor.spin_once(timeout_sec=0.1)
        except BaseException as error:  # noqa: BLE001 (raised again in the test's thread)
            self.error = error

    def add(self, node):
        """Spin `node` (made with this context) and destroy it at the end."""
        self._nodes.append(node)
        self.executor.add_node(node)
        return node

    def node(self, name: str = "test", **arguments):
        from rclpy.node import Node

        return self.add(Node(name, context=self.context, **arguments))

    def wait(self, condition: Callable[[], object], timeout: float = 5.0, what: str = ""):
        """The first true value of condition(); AssertionError after `timeout` seconds, saying `what` was awaited."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.error is not None:
                raise self.error
            value = condition()
            if value:
                return value
            time.sleep(0.005)
        raise AssertionError(f"not within {timeout} s: {what or condition}")

    def close(self):
        """Join the executor, destroy the nodes, end the context, raise what a callback raised."""
        self._ending = True
        self.executor.wake()
        self._thread.join(5)
        alive = self._thread.is_alive()
        self.executor.shutdown(timeout_sec=1)
        for node in self._nodes:
            node.destroy_node()
        self.context.try_shutdown()
        if self.error is not None:
            raise self.error
        assert not alive, "the executor did not end within 5 s: a callback blocks"


@pytest.fixture
def ros():
    """A fresh ROS context; skipped with the reason where there is no rclpy."""
    pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")
    fixture = Ros()
    yield fixture
    fixture.close()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """A small diffusion prior under the lift contract, trained for a moment on random walks: whole, quick, and bad."""
    from bundles import make_tiny_bundle

    return make_tiny_bundle(tmp_path_factory.mktemp("bundle"))
