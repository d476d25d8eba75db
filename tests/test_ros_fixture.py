"""The fixture every component test stands on: delivery, field checks, and no exception lost in a thread."""

import pytest

std_msgs = pytest.importorskip("std_msgs.msg", reason="needs ROS 2: run `make setup` or source an installation")


def test_message_arrives(ros):
    got = []
    node = ros.node()
    node.create_subscription(std_msgs.String, "talk", lambda m: got.append(m.data), 10)
    publisher = node.create_publisher(std_msgs.String, "talk", 10)
    ros.wait(lambda: publisher.get_subscription_count() == 1, what="the subscription to be matched")
    publisher.publish(std_msgs.String(data="word"))
    ros.wait(lambda: got == ["word"], what="the message")


def test_field_checks_are_on():
    """Without ROS_PYTHON_CHECK_FIELDS this publishes 5e-324."""
    with pytest.raises(AssertionError):
        std_msgs.Float64(data=3)


def test_exception_in_a_callback_reaches_the_test(ros):
    def fail():
        raise LookupError("from a callback")

    ros.node().create_timer(0.01, fail)
    with pytest.raises(LookupError, match="from a callback"):
        ros.wait(lambda: False)
    assert isinstance(ros.error, LookupError)
    ros.error = None  # seen; the end of the fixture would raise it again
