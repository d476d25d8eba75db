"""F13 to F17, F32: what arrives on lpds/weights must be whole, ours and newer, or it changes nothing."""

import time
from dataclasses import replace

import numpy as np
from safetensors.numpy import load, save

from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.live import Live, ms
from lpds_ros.prior.bundle import Bundle
from lpds_ros.weights import CONTEXTS, FORMAT, ActorParameters, checksum, pack_weights, read_metadata, sha256

WIDTH = 16
REFUSED = "refused before any of it is used, by reason; the old weights go on"


def actor(bundle: Bundle, version: int, **changes) -> ActorParameters:
    """A small actor whose last layer is zero: it fits this bundle, and moves nothing."""
    contract = bundle.contract
    out = contract.noise_shape[0] * contract.noise_shape[1]
    sizes = (contract.state_size + out, WIDTH, out)
    layers = tuple((np.zeros((b, a), np.float32), np.zeros(b, np.float32)) for a, b in zip(sizes, sizes[1:]))
    parameters = ActorParameters(
        version=version,
        updates=0,
        contract_digest=contract.digest,
        prior_digest=bundle.digest,
        radius=1.0,
        context=CONTEXTS[0],
        state_shift=np.zeros(contract.state_size, np.float32),
        state_scale=np.ones(contract.state_size, np.float32),
        layers=layers,
    )
    return replace(parameters, **changes)


def spoilt(parameters: ActorParameters, change) -> bytes:
    """Its blob with tensors and metadata changed by change(tensors, metadata), and a checksum that agrees with them."""
    blob = pack_weights(parameters)
    tensors, metadata = load(blob), read_metadata(blob)
    change(tensors, metadata)
    return save(tensors, metadata | {"checksum": checksum(metadata, tensors)})


def _next(live: Live) -> int:
    """A version above every one that was taken here, after a good one, which also empties what the last refusal has left."""
    version = live.probe.node.status[-1].said.weights_version + 1
    taken(live, version)
    return version + 1


def refused(live: Live, blob: bytes, version: int, text: str, **fields) -> Finding:
    """Push; the status must give a reason with `text`, and the version in use must not change."""
    used = live.probe.node.status[-1].said.weights_version
    before = live.probe.push(blob, **{"version": version, "sha256": sha256(blob)} | fields)
    said = live.until(lambda: live.probe.first(live.probe.node.status, before, lambda h: text in h.said.weights_rejected), 10.0)
    if said is None:
        found = live.probe.node.status[-1].said.weights_rejected
        return Finding(False, f"not refused with '{text}'; it said '{found}'", recovered="no")
    live.until(lambda: False, 0.6)  # more than a chunk
    now = live.probe.node.status[-1].said.weights_version
    note = f"{said.said.weights_rejected}; version {used} before, {now} after"
    return Finding(now == used, note, ms(before, said), ms(before, said), "not needed")


@case("F13", "weights with a NaN", REFUSED, "stack")
def nan_weights(live):
    version = _next(live)

    def change(tensors, metadata):
        tensors["layer0.weight"][0, 0] = np.nan

    return refused(live, spoilt(actor(live.plan.bundle, version), change), version, "NaN or infinity")


@case("F14", "weights of another shape", REFUSED, "stack")
def wrong_shape(live):
    version = _next(live)

    def change(tensors, metadata):
        tensors["layer1.weight"] = tensors["layer1.weight"][:, :-1].copy()

    return refused(live, spoilt(actor(live.plan.bundle, version), change), version, "shape")


@case("F14", "weights of another type (float64)", REFUSED, "stack")
def wrong_type(live):
    version = _next(live)

    def change(tensors, metadata):
        tensors["layer0.bias"] = tensors["layer0.bias"].astype(np.float64)

    return refused(live, spoilt(actor(live.plan.bundle, version), change), version, "float64")


@case("F14", "weights without their last bias", REFUSED, "stack")
def missing_tensor(live):
    version = _next(live)
    return refused(live, spoilt(actor(live.plan.bundle, version), lambda t, m: t.pop("layer1.bias")), version, "missing")


@case("F15", "weights for another prior", "refused with both digests", "stack")
def other_prior(live):
    version = _next(live)
    digest = live.plan.bundle.digest[:12]
    return refused(live, pack_weights(actor(live.plan.bundle, version, prior_digest="e" * 64)), version, digest)


@case("F15", "weights for another contract (its horizons, its normalisation)", "refused with both digests", "stack")
def other_contract(live):
    version = _next(live)
    digest = live.plan.contract.digest[:12]
    return refused(live, pack_weights(actor(live.plan.bundle, version, contract_digest="e" * 64)), version, digest)


@case("F15", "weights of another schema", "refused with both names", "stack")
def other_schema(live):
    version = _next(live)

    def change(tensors, metadata):
        metadata["format"] = "lpds-actor-9"

    return refused(live, spoilt(actor(live.plan.bundle, version), change), version, FORMAT)


def taken(live: Live, version: int) -> int:
    """Push good weights, wait until they run; the time of the push."""
    blob = pack_weights(actor(live.plan.bundle, version))
    before = live.probe.push(blob, version=version, sha256=sha256(blob))
    live.require(lambda: live.probe.node.status[-1].said.weights_version == version, f"version {version} in use")
    return before


@case("F16", "a version pushed again, and an older one", "refused: versions only rise", "stack")
def replayed(live):
    version = _next(live)
    taken(live, version)
    again = refused(live, pack_weights(actor(live.plan.bundle, version)), version, "not newer")
    older = refused(live, pack_weights(actor(live.plan.bundle, version - 1)), version - 1, f"version {version - 1} is not newer")
    return replace(older, ok=again.ok and older.ok)


@case("F16", "a truncated push", "refused by its checksum", "stack")
def truncated(live):
    version = _next(live)
    blob = pack_weights(actor(live.plan.bundle, version))
    return refused(live, blob[:-100], version, "checksum", sha256=sha256(blob))


@case("F16", "a push that announces another version than it holds", "refused with both", "stack")
def misnamed(live):
    version = _next(live)
    return refused(live, pack_weights(actor(live.plan.bundle, version)), version + 7, f"announced was {version + 7}")


@case("F17", "good weights in the middle of a chunk", "swapped between chunks, one pointer; not a tick is late", "stack")
def mid_chunk(live):
    live.settled()
    missed = live.probe.node.status[-1].said.missed_deadlines
    began = time.time_ns()
    for _ in range(8):
        taken(live, _next(live))
    live.until(lambda: False, 1.5)  # the decision of the last swap is said at its end
    statuses = [h for h in list(live.probe.node.status) if h.at_ns >= began]
    starts = {h.stamp_ns for h in list(live.probe.node.decisions)}
    changes = [(a, b) for a, b in zip(statuses, statuses[1:]) if a.said.weights_version != b.said.weights_version]
    later = round(1.5 * live.plan.contract.period_ns)  # a status said while a tick decodes has the stamp of the tick before
    wrong = sum(not any(a.stamp_ns < start <= b.stamp_ns + later for start in starts) for a, b in changes)
    missed = live.probe.node.status[-1].said.missed_deadlines - missed
    note = f"{len(changes)} swaps, {wrong} of them at no start of a chunk; {missed} late ticks meanwhile"
    return Finding(wrong == 0, note)


@case("F32", "weights of a second learner", "refused: one learner serves a robot, named", "learner")
def second_learner(live):
    live.require(lambda: live.probe.node.status[-1].said.weights_version >= 1, "weights of the learner", 240.0)
    version = 10_000_000
    blob = pack_weights(actor(live.plan.bundle, version))
    return refused(live, blob, version, "this robot is served by", learner="another")
