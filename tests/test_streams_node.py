"""The streams node beside simulation and perception: what they said comes out of its bag again, and the same observations."""

import pytest
from sim_client import make_client
from steering_fakes import lift

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")

from lpds_ros.contract import ContractError  # noqa: E402
from lpds_ros.data.definitions import Definitions  # noqa: E402
from lpds_ros.data.streams import OBSERVATION, raw_messages  # noqa: E402
from lpds_ros.nodes.perception import PerceptionNode  # noqa: E402
from lpds_ros.nodes.streams import StreamsNode  # noqa: E402
from lpds_ros.perception.rebuild import rebuild  # noqa: E402
from lpds_ros.perception.robot import ROBOT_STATE  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402

CONTRACT, PATH = lift(), str(resource("config/contracts/lift.yaml"))
TICKS = 30


def heard(folder) -> int:
    """Valid or not: observations that are in the bag by now."""
    return sum(m.typename == OBSERVATION for m in raw_messages(folder, Definitions())) if any(folder.glob("*")) else 0


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_live_observations_and_those_rebuilt_are_the_same_bits(ros, tmp_path, clock):
    common = {"contract": PATH, "clock": clock, "robot_state_topic": ROBOT_STATE}
    streams = ros.add(
        StreamsNode(context=ros.context, parameters={"path": str(tmp_path / "streams.mcap"), "chunk_bytes": 1, **common})
    )
    ros.add(PerceptionNode(context=ros.context, parameters=common))
    client = make_client(ros, clock)
    topics = [stream.topic for stream in CONTRACT.streams.values()]
    ros.wait(lambda: all(client.sim.count_subscribers(topic) >= 2 for topic in topics), what="both listeners of each stream")
    if clock == "lockstep":
        client.run()
        client.reach(client.stamp + TICKS * CONTRACT.period_ns)
        client.drive = False
    ros.wait(lambda: heard(tmp_path) > TICKS, what="observations in the bag")
    streams.stop()
    found = list(rebuild(tmp_path))
    assert len(found) >= TICKS // 2 and [each for each in found if each.missing or each.differences] == []
    assert sum(each.live.valid for each in found) > TICKS // 2
    if clock == "lockstep":
        assert {age for each in found for age in each.live.ages_s.values()} == {0.0}
    else:
        assert len({each.live.ages_s["pose"] for each in found}) > TICKS // 3, "ages as they come"
    assert streams._sink.status().dropped == 0


def test_it_needs_a_contract(ros):
    with pytest.raises(ContractError, match="contract is empty"):
        StreamsNode(context=ros.context)
