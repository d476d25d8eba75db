"""The streams node beside simulation and perception: what they said comes out of its bag again, and the same observations."""

import numpy as np
import pytest
from pictured import small_contract
from sim_client import make_client
from steering_fakes import lift

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")
pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")

from lpds_ros.config import to_yaml  # noqa: E402
from lpds_ros.contract import ContractError, contract_to_dict  # noqa: E402
from lpds_ros.data.definitions import Definitions  # noqa: E402
from lpds_ros.data.streams import OBSERVATION, raw_messages  # noqa: E402
from lpds_ros.nodes.perception import PerceptionNode  # noqa: E402
from lpds_ros.nodes.streams import StreamsNode  # noqa: E402
from lpds_ros.perception.rebuild import rebuild  # noqa: E402
from lpds_ros.perception.robot import ROBOT_STATE  # noqa: E402
from lpds_ros.prior.encoders import EncoderSession  # noqa: E402
from lpds_ros.sim.camera import CameraError  # noqa: E402

TICKS = 24


def heard(folder) -> int:
    """Observations that are in the bag by now."""
    return sum(m.typename == OBSERVATION for m in raw_messages(folder, Definitions())) if any(folder.glob("*")) else 0


@pytest.mark.parametrize("sees", [False, True], ids=["no images", "images"])
@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_live_observations_and_those_rebuilt_are_the_same_bits(ros, tmp_path, pictured_bundle, clock, sees):
    contract = small_contract() if sees else lift()
    path, folder = tmp_path / "contract.yaml", tmp_path / "streams"
    path.write_text(to_yaml(contract_to_dict(contract)))
    common = {"contract": str(path), "clock": clock, "robot_state_topic": ROBOT_STATE}
    recorded = {"path": str(folder / "streams.mcap"), "chunk_bytes": 1}
    streams = ros.add(StreamsNode(context=ros.context, parameters={**recorded, **common}))
    bundle = str(pictured_bundle.path) if sees else ""
    ros.add(PerceptionNode(context=ros.context, parameters={"bundle": bundle, **common}))
    try:
        client = make_client(ros, clock, contract=str(path), camera="sim" if sees else "none")
    except CameraError as error:
        pytest.skip(str(error))
    topics = [stream.topic for stream in contract.streams.values()]
    ros.wait(lambda: all(client.sim.count_subscribers(topic) >= 2 for topic in topics), what="both listeners of each stream")
    if clock == "lockstep":
        client.run()
        client.reach(client.stamp + TICKS * contract.period_ns)
        client.drive = False
    ros.wait(lambda: heard(folder) > TICKS, what="observations in the bag")
    streams.stop()
    found = list(rebuild(folder, encode=EncoderSession(pictured_bundle).encode if sees else None))
    assert len(found) >= TICKS // 2 and [each for each in found if each.missing or each.differences] == []
    valid = [each.live for each in found if each.live.valid]
    if clock == "lockstep":
        assert len(valid) > TICKS // 2 and {age for live in valid for age in live.ages_s.values()} == {0.0}
    if sees and valid:
        assert np.unique(np.array([live.data for live in valid])[:, -4:], axis=0).any(), "features of what was seen"
    assert streams._sink.status().dropped == 0


def test_it_needs_a_contract(ros):
    with pytest.raises(ContractError, match="contract is empty"):
        StreamsNode(context=ros.context)
