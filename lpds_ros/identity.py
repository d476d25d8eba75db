"""Plain trees and their digests: what contracts, problems and bundles are known by."""

import dataclasses
import hashlib
import json

LATER_OF_STREAMS = {"width_px": 0, "height_px": 0, "fit": "crop"}


def plain(holder) -> dict:
    """A dataclass that holds `horizons` as plain lists and dictionaries.

    What came later is no entry where it says nothing, so that digests outlive its coming: no delay, no picture of a stream.
    """
    tree = json.loads(json.dumps(dataclasses.asdict(holder)))
    if not tree["horizons"]["delay"]:
        del tree["horizons"]["delay"]
    for stream in tree.get("streams", {}).values():
        for name, silent in LATER_OF_STREAMS.items():
            if stream[name] == silent:
                del stream[name]
    return tree


def digest_of(tree: dict) -> str:
    """SHA-256 of canonical JSON: equal meaning, equal digest."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
