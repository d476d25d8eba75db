"""Fixtures for the whole suite. `ros`: a ROS context of one test's own, in a domain of this pytest process's own."""

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from waiting import PATIENCE_S, wait_for

from lpds_ros.environment import apply_defaults

AGAIN_S = 0.05
# How long an example takes says nothing on a machine that stalls.
settings.register_profile("stalls", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stalls")

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

    One thread runs all callbacks, as in each node's own process. rclpy's MultiThreadedExecutor destroys what its pool's
    waiting callbacks still use when it is shut down, and an exception in its last callback is lost.
    """

    def __init__(self):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.executor = SingleThreadedExecutor(context=self.context)
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

    def wait(self, condition: Callable[[], object], what: str = "", *, saying: Callable[[], object] = lambda: None):
        """The first true value of condition(); AssertionError after PATIENCE_S, naming `what` was awaited.

        saying: called at once and every AGAIN_S meanwhile, for what has to be said until it is heard.
        """
        due = time.monotonic()

        def heard():
            nonlocal due
            if self.error is not None:
                raise self.error
            if time.monotonic() >= due:
                saying()
                due = time.monotonic() + AGAIN_S
            return condition()

        return wait_for(heard, what=what)

    def call(self, function: Callable, *arguments):
        """What `function` returns in the executor's thread. ActionClient.send_goal_async called beside the executor
        may miss its answer, and an entity destroyed beside it may end it.
        """
        task = self.executor.create_task(function, *arguments)
        self.wait(task.done, what=f"{function}")
        return task.result()

    def close(self):
        """Join the executor, destroy the nodes, end the context, raise what a callback raised."""
        self._ending = True
        self.executor.wake()
        self._thread.join(PATIENCE_S)
        alive = self._thread.is_alive()
        self.executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        self.context.try_shutdown()
        if self.error is not None:
            raise self.error
        assert not alive, f"the executor did not end within {PATIENCE_S} s: a callback blocks"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """What tests keep for later is kept from the user's own cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


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


@pytest.fixture(scope="session")
def delayed_bundle(tmp_path_factory):
    """The same with T_a 4 and a delay of 4 ticks."""
    from bundles import make_tiny_bundle

    return make_tiny_bundle(tmp_path_factory.mktemp("delayed"), executed=4, delay=4)


@pytest.fixture(scope="session")
def pictured_bundle(tmp_path_factory):
    """A prior that sees: encoders for two cameras of 16 x 16 pixels. Its checkpoint is in run/ beside it."""
    from pictured import make_pictured_bundle

    return make_pictured_bundle(tmp_path_factory.mktemp("pictured"))
