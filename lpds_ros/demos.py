"""The one door to demonstrations: whatever they were recorded by, `read_demos` gives them under a contract.

HDF5 (ours, robomimic's), LeRobotDataset v3.0 and v2.1, rollout logs, recorded streams, bags of `ros2 bag record`. No ROS.
"""

from itertools import islice
from pathlib import Path

from lpds_ros.contract import Contract
from lpds_ros.data import demos
from lpds_ros.data.definitions import DECISION, EPISODE, Definitions
from lpds_ros.data.demonstration import DemoError, DemoFile
from lpds_ros.data.mapping import load_mapping
from lpds_ros.data.rollout_log import RolloutLogError, log_paths, stored_contract
from lpds_ros.data.streams import describe, is_bag, raw_messages, streams_of
from lpds_ros.perception.recordings import load_bag_source, read_recording

PEEKED = 50  # messages that tell a rollout log from a bag


def read_demos(path, contract: Contract | None = None, *, mapping=None, mask: str = "") -> DemoFile:
    """Demonstrations out of a file or folder.

    mapping: file that says what another recorder's numbers or topics mean (data/mapping.py, perception/commanded.py). mask: a
    filter of a robomimic file. Raises DemoError for what cannot be read or holds none, ConfigError for the mapping, and
    ContractError when `contract` is given and differs from the one inside in more than its horizons.
    """
    path = Path(path)
    if _is_recording(path):
        if mask:
            raise DemoError(f"{path}: masks are robomimic's; leave '{mask}' out")
        return read_recording(streams_of(path), contract, load_bag_source(mapping) if mapping else None)
    return demos.read_demos(path, contract, mapping=load_mapping(mapping) if mapping else None, mask=mask)


def _is_recording(path: Path) -> bool:
    """Of a run folder with both, the streams have what the rollout log has not: pictures."""
    if path.is_dir():
        if not is_bag(streams_of(path)):
            return False
        try:
            logged = stored_contract(log_paths(path)[-1])
        except RolloutLogError:
            return True
        return streams_of(path) != path and logged is not None and bool(logged.images)
    if path.suffix == ".db3":
        return path.is_file()
    if path.suffix != ".mcap" or not path.is_file():
        return False
    described = describe(path)
    if described.values or described.contract is not None:
        return bool(described.values)
    return any(message.typename not in (DECISION, EPISODE) for message in islice(raw_messages(path, Definitions()), PEEKED))
