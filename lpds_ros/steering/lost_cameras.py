"""Cameras that were lost: when one returns it may see another scene, so a person says that the arm may go on."""

from lpds_ros.contract import Contract
from lpds_ros.perception.cameras import image_topics
from lpds_ros.perception.robot import FUTURE_TOLERANCE_NS
from lpds_ros.records import Observation


class LostCameras:
    """Watches the age of every stream of images. A camera that has shown something and then nothing that could be used for more
    than `lost_s` is lost. What an observation without ages, or time that goes back, says of that while is nothing.
    """

    def __init__(self, contract: Contract, lost_s: float):
        self._lost_ns = round(lost_s * 1e9)
        self._streams = {name: (topic, contract.streams[name].max_age_s) for name, topic in image_topics(contract).items()}
        self._seen_ns: dict[str, int] = {}
        self._lost: set[str] = set()

    def notice(self, observation: Observation) -> str:
        """What to hold for until a person has looked, said in the tick in which a camera is lost; else ""."""
        now_ns, reasons = observation.stamp_ns, []
        for name, (topic, max_age_s) in self._streams.items():
            age_s = observation.ages_s.get(name)
            if age_s is None:
                self._seen_ns.pop(name, None)
            elif -FUTURE_TOLERANCE_NS / 1e9 <= age_s <= max_age_s:
                self._seen_ns[name] = now_ns
                self._lost.discard(name)
            elif name in self._seen_ns and now_ns - self._seen_ns[name] > self._lost_ns:
                del self._seen_ns[name]
                self._lost.add(name)
                reasons.append(f"camera '{name}' ({topic}) was lost: when it is back, look at the scene and call lpds/arm")
        return "; ".join(reasons)

    @property
    def missing(self) -> str:
        """Which lost cameras are not back, or ""."""
        topics = [f"'{name}' ({self._streams[name][0]})" for name in sorted(self._lost)]
        return f"camera {', '.join(topics)} shows nothing yet" if topics else ""
