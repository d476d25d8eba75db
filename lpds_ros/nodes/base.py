"""The base of every node: parameters from a dataclass, one life cycle, one orderly end.

Signals are our own business (SignalHandlerOptions.NO): with rclpy's handlers the context is gone before a last command
can be published. `main` spins in a supervised thread, so that an exception in a callback ends the process with code 1
instead of leaving a node that looks alive.
"""

import dataclasses
import signal
import sys
import threading
import time
import traceback

from lpds_ros.environment import apply_defaults
from lpds_ros.parameters import build_parameters, describe
from lpds_ros.processes import end_with_supervisor
from lpds_ros.realtime import claim

apply_defaults()  # before the first message import: rclpy reads ROS_PYTHON_CHECK_FIELDS there

import rclpy  # noqa: E402
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402

ROS_OWN = ("use_sim_time", "start_type_description_service")
LAST_WORDS_S = 0.05
CALL_LOOK_S = 0.002
OURS = ("lpds_ros", "__main__")  # a node started with `python -m` defines its own errors in __main__


@dataclasses.dataclass(frozen=True)
class NoParameters:
    """A node without parameters."""


class RefusedError(ValueError):
    """This process must not run, or not go on: raised anywhere, it ends the node with one line and exit code 2."""


class LpdsNode(Node):
    """A node of ours. Subclasses set NAME and Parameters, and may override `set_up` and `stop`.

    parameters: overrides by name, for tests (the command line's own come by themselves). `self.params` is the checked
    frozen dataclass. Raises ParameterError for an unknown, ill-typed or out-of-range parameter. A node that cannot be
    made is stopped and destroyed, so `stop` and `destroy_node` must tolerate what `set_up` has not reached: what they
    end is None on the class.
    """

    NAME = "node"
    Parameters: type = NoParameters
    finished = False

    def __init__(self, *, context=None, parameters: dict | None = None, namespace: str | None = None):
        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        super().__init__(
            self.NAME,
            context=context,
            namespace=namespace,
            parameter_overrides=overrides,
            automatically_declare_parameters_from_overrides=True,
        )
        try:
            self.params = self._read_parameters()
            self.set_up()
        except BaseException:
            self.stop()
            self.destroy_node()
            raise

    def _read_parameters(self):
        fields = {field.name: field for field in dataclasses.fields(self.Parameters)}
        given = {
            name: given.value
            for name, given in self.get_parameters_by_prefix("").items()
            if name not in ROS_OWN and not name.startswith("qos_overrides.")
        }
        params = build_parameters(self.Parameters, given)
        for name, field in fields.items():
            if name in given:
                self.undeclare_parameter(name)
            value = getattr(params, name)
            self.declare_parameter(name, value, _descriptor(field, value), ignore_override=True)
        return params

    def set_up(self):
        """Everything after the parameters: load, check, publish, subscribe, start threads. May raise anywhere."""

    def claim_realtime(self):
        """Priority, memory and cores as the parameters ask (a RealtimeParameters); what is not permitted goes to the log."""
        for refused in claim(self.params):
            self.get_logger().warning(refused)

    def finish(self):
        """Ask `main` to end the process, with code 0."""
        self.finished = True

    def stop(self):
        """Last words: publish what must be published, end own threads. Nothing spins any more."""


def _descriptor(field: dataclasses.Field, value) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=describe(field), read_only=True)
    limits = field.metadata.get("range")
    if limits and isinstance(value, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(limits[0]), to_value=float(limits[1]))]
    elif limits and type(value) is int:
        descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]), step=1)]
    return descriptor


class Spinner:
    """Spins a node in a thread of its own and keeps the first exception. (EventsExecutor.spin() is broken in the wheels.)"""

    def __init__(self, node: Node, on_end=lambda: None):
        self.error: BaseException | None = None
        self._node, self._on_end = node, on_end
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._ending = False
        self._thread = threading.Thread(target=self._spin, name="spin")
        self._thread.start()

    def _spin(self):
        try:
            while not (self._ending or self._node.finished) and self._node.context.ok():
                self._executor.spin_once(timeout_sec=0.2)
        except BaseException as error:  # noqa: BLE001 (handed to the supervisor, which ends the process)
            self.error = error
        finally:
            self._on_end()

    def call(self, function, *arguments):
        """What `function` returns in the spinning thread. Raises what has ended that thread, if anything did."""
        task = self._executor.create_task(function, *arguments)
        while not task.done() and self._thread.is_alive():
            time.sleep(CALL_LOOK_S)
        if not task.done():
            raise self.error or RuntimeError(f"{self._node.get_name()} spins no more")
        return task.result()

    def end(self):
        """Return when no callback runs any more and none will."""
        self._ending = True
        self._executor.wake()
        self._thread.join()
        self._executor.shutdown()


def main(node_class: type[LpdsNode], args: list[str] | None = None) -> int:
    """Run one node until SIGINT or SIGTERM; return the exit code: 0 asked to end, 1 a failure, 2 a bad configuration."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    end_with_supervisor()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = node_class()
    except Exception as error:
        rclpy.try_shutdown()
        if not _is_ours(error):
            raise
        sys.stderr.write(f"lpds {node_class.NAME}: {error}\n")
        return 2
    spinner = Spinner(node, on_end=ended.set)
    ended.wait()
    spinner.end()
    code = 0
    if isinstance(spinner.error, RefusedError):
        code = 2
        sys.stderr.write(f"lpds {node_class.NAME}: {spinner.error}\n")
    elif spinner.error is not None:
        code = 1
        _log_failure(node, spinner.error)
    try:
        node.stop()
    except Exception as error:  # noqa: BLE001 (the end of the process goes on)
        code = 1
        _log_failure(node, error)
    time.sleep(LAST_WORDS_S)
    node.destroy_node()
    rclpy.try_shutdown()
    return code


def _is_ours(error: Exception) -> bool:
    """Whether the error is one of our own ValueErrors, whose text tells a person what to do; others keep their traceback."""
    return isinstance(error, ValueError) and type(error).__module__.startswith(OURS)


def _log_failure(node: Node, error: BaseException):
    text = "".join(traceback.format_exception(error))
    node.get_logger().fatal(f"{type(error).__name__}: {error}\n{text}")
