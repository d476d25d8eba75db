"""Plain trees and their digests: what contracts, problems and bundles are known by."""

import dataclasses
import hashlib
import json


def plain(holder) -> dict:
    """A dataclass that holds `horizons` as plain lists and dictionaries. No delay is no entry: digests outlive its coming."""
    tree = json.loads(json.dumps(dataclasses.asdict(holder)))
    if not tree["horizons"]["delay"]:
        del tree["horizons"]["delay"]
    return tree


def digest_of(tree: dict) -> str:
    """SHA-256 of canonical JSON: equal meaning, equal digest."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
