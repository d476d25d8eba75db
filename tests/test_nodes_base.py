"""The base of every node: parameters, life cycle and exit codes; and records through messages and back."""

import dataclasses
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from steering_fakes import Cell, lift
from waiting import PATIENCE_S

from lpds_ros.contract import ContractError
from lpds_ros.parameters import ParameterError, build_parameters, describe, parameter
from lpds_ros.records import Mark, Source

pytest.importorskip("rclpy")
from rosgraph_msgs.msg import Clock  # noqa: E402 (imports ROS)

from lpds_ros.nodes import messages  # noqa: E402 (imports ROS)
from lpds_ros.nodes.attached import Attached  # noqa: E402
from lpds_ros.nodes.base import LpdsNode  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Parameters:
    rate_hz: float = parameter(20.0, "of everything", "Hz", (1, 100))
    count: int = parameter(3, "of things", range=(0, 9))
    kind: str = parameter("a", "of thing", choices=("a", "b"))
    on: bool = parameter(False, "or off")


class Example(LpdsNode):
    NAME, Parameters = "example", Parameters


# -- parameters ------------------------------------------


def test_parameters_take_an_int_for_a_float_and_say_what_they_are():
    assert build_parameters(Parameters, {"rate_hz": 30}) == Parameters(rate_hz=30.0)
    assert describe(dataclasses.fields(Parameters)[0]) == "of everything [Hz], 1 to 100"


@pytest.mark.parametrize(
    "values, text",
    [
        ({"rte_hz": 1.0}, "unknown parameter 'rte_hz', did you mean 'rate_hz'"),
        ({"rate_hz": 101.0}, "rate_hz: 101 is outside 1 to 100"),
        ({"rate_hz": float("nan")}, "rate_hz: nan is not a finite number"),
        ({"count": 2.0}, "count: expected int, got 2.0"),
        ({"count": True}, "count: expected int, got True"),
        ({"kind": "c"}, "kind: 'c' is not one of a, b"),
        ({"on": 1}, "on: expected bool, got 1"),
    ],
)
def test_a_bad_parameter_is_named(values, text):
    with pytest.raises(ParameterError, match=text):
        build_parameters(Parameters, values)


def test_ros_parameters_are_declared_with_their_descriptions_and_cannot_change(ros):
    node = ros.add(Example(context=ros.context, parameters={"count": 7}))
    assert node.params == Parameters(count=7)
    descriptor = node.describe_parameter("rate_hz")
    assert descriptor.description == "of everything [Hz], 1 to 100" and descriptor.read_only
    assert descriptor.floating_point_range[0].to_value == 100.0
    assert node.get_parameter("count").value == 7


def test_a_node_that_cannot_be_set_up_is_stopped_and_destroyed(ros):
    ended = []

    class Broken(Example):
        def set_up(self):
            self.create_publisher(Clock, "here", 1)
            raise LookupError(f"no {self.params.kind}")

        def stop(self):
            ended.append(self.count_publishers("here"))

        def destroy_node(self):
            ended.append("destroyed")
            super().destroy_node()

    with pytest.raises(LookupError, match="no b"):
        Broken(context=ros.context, parameters={"kind": "b"})
    assert ended == [1, "destroyed"]
    assert ros.node().count_publishers("here") == 0


# -- processes ------------------------------------------

PROGRAM = textwrap.dedent(
    """
    import sys
    from dataclasses import dataclass
    from lpds_ros.nodes.base import LpdsNode, main
    from lpds_ros.parameters import parameter

    @dataclass(frozen=True)
    class Parameters:
        what: str = parameter("wait", "to do", choices=("wait", "fail", "finish"))

    class Example(LpdsNode):
        NAME, Parameters = "example", Parameters

        def __init__(self, **options):
            super().__init__(**options)
            self.create_timer(0.01, self.tick)

        def tick(self):
            if self.params.what == "fail":
                raise RuntimeError("broken on purpose")
            if self.params.what == "finish":
                self.finish()
            print("spinning", flush=True)

        def stop(self):
            print("stopped, context ok:", self.context.ok(), flush=True)

    sys.exit(main(Example))
    """
)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--ros-args", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_node_say_its_last_words(number):
    process = start()
    assert process.stdout.readline() == "spinning\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and out.endswith("stopped, context ok: True\n")


def test_a_node_that_has_finished_ends_by_itself_with_code_0():
    process = start("-p", "what:=finish")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and out == "spinning\nstopped, context ok: True\n", err


def test_an_exception_in_a_callback_ends_the_process_with_its_traceback():
    process = start("-p", "what:=fail")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "stopped" in out
    assert "RuntimeError: broken on purpose" in err and "in tick" in err


def test_a_bad_parameter_is_one_line_and_code_2():
    process = start("-p", "wat:=fail")
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "lpds example: unknown parameter 'wat', did you mean 'what'?\n" in err and "Traceback" not in err


# -- messages ------------------------------------------


def same(a, b):
    for field in dataclasses.fields(a):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes(), (
                field.name
            )
        else:
            assert left == right, field.name


def test_observations_go_through_bit_for_bit():
    cell = Cell()
    for valid in (True, False):
        record = cell.observation(valid=valid, reward=0.1, success=True)
        message = messages.observation_to_msg(record, cell.contract.digest)
        same(messages.observation_from_msg(message, cell.contract), record)


def test_decisions_and_episodes_go_through_bit_for_bit():
    cell = Cell()
    cell.steps(10)
    cell.step(cell.operator((0.1, 0.2, 0.3, 0.4)))
    cell.step(reward=1.0, success=True)
    assert {d.source for d in cell.decisions} == {Source.PRIOR, Source.OPERATOR}
    for record in cell.decisions:
        same(messages.decision_from_msg(messages.decision_to_msg(record), cell.contract), record)
    same(messages.episode_from_msg(messages.episode_to_msg(cell.episodes[0])), cell.episodes[0])


def test_operator_commands_go_through():
    cell = Cell()
    record = cell.operator((0.1, 0.2, 0.3, -0.4), mark=Mark.FAILURE, stop=True)
    same(messages.operator_from_msg(messages.operator_to_msg(record, "test"), cell.contract), record)


def test_messages_that_do_not_fit_the_contract_are_refused_by_field():
    cell = Cell()
    cell.steps(9)
    message = messages.decision_to_msg(cell.decisions[0])
    message.noise = message.noise[:-1]
    with pytest.raises(messages.MessageError, match=r"'noise' holds 31 numbers, expected \(8, 4\)"):
        messages.decision_from_msg(message, cell.contract)
    message = messages.decision_to_msg(cell.decisions[0])
    message.ticks = 9
    with pytest.raises(messages.MessageError, match="ran 9 ticks"):
        messages.decision_from_msg(message, cell.contract)
    with pytest.raises(ContractError, match="under contract"):
        messages.decision_from_msg(messages.decision_to_msg(cell.decisions[0]), lift(max_ticks=99))


# -- a node inside another process -----------------------


def test_publishers_come_and_go_while_it_spins():
    """Destroyed beside the executor, the 47th to 174th ended it with InvalidHandle (eight runs at this switch interval)."""
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Attached(Example) as attached:
            for _ in range(200):
                publisher = attached.node.create_publisher(Clock, "clock", 1)
                assert attached.call(attached.node.destroy_publisher, publisher)
                attached.check()
    finally:
        sys.setswitchinterval(often)
