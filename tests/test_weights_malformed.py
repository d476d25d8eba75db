"""Weights that were damaged, altered or made to harm: refused with a WeightsError, soon, or the very same numbers."""

import json
import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save
from steering_fakes import lift, random_actor

from lpds_ros.weights import MAX_BYTES, MAX_HEADER_BYTES, WeightsError, pack_weights, unpack_weights

MUTANTS = 10_000
CONTRACT = lift()
PRIOR = "b" * 64
ACTOR = replace(random_actor(CONTRACT, version=7, radius=2.0), prior_digest=PRIOR)
BLOB = pack_weights(ACTOR)
(SIZE,) = struct.unpack("<Q", BLOB[:8])
HEADER, DATA = json.loads(BLOB[8 : 8 + SIZE]), BLOB[8 + SIZE :]


def unpack(blob):
    return unpack_weights(blob, contract=CONTRACT, prior_digest=PRIOR)


def joined(header, data=DATA) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def same(a, b) -> bool:
    """Whether two actors are the same in every bit that matters to the robot."""
    plain = ("version", "updates", "contract_digest", "prior_digest", "radius", "context")
    arrays = [(x.state_shift, x.state_scale, *(t for layer in x.layers for t in layer)) for x in (a, b)]
    bits = [[(t.dtype, t.shape, t.tobytes()) for t in found] for found in arrays]
    return all(getattr(a, name) == getattr(b, name) for name in plain) and bits[0] == bits[1]


# -- mutations: each takes a generator and gives a blob ------------------------------------------


def flipped(rng):
    blob = bytearray(BLOB)
    where = rng.integers(8 + SIZE) if rng.random() < 0.7 else rng.integers(len(blob))  # the header is the smaller part
    for at in (where, rng.integers(len(blob)))[: rng.integers(1, 3)]:
        blob[at] ^= 1 << rng.integers(8)
    return bytes(blob)


def cut(rng):
    return BLOB[: rng.integers(len(BLOB))] if rng.random() < 0.5 else BLOB[: -int(rng.integers(1, 9))]


def lengthened(rng):
    return BLOB + rng.bytes(rng.integers(1, 64))


def spliced(rng):
    a, b = sorted(rng.integers(len(BLOB), size=2))
    return BLOB[:a] + rng.bytes(rng.integers(64)) + BLOB[b:]


def edited(rng):
    """One value of the header is another."""
    header = json.loads(json.dumps(HEADER))
    name = rng.choice(sorted(header))
    entry, other = header[name], header[rng.choice(sorted(header))]
    key = rng.choice(sorted(entry))
    values = [
        "", "0", "-1", "1e9", "nan", "inf", "9" * 400, None, True, [], {}, -1, 2**63, 2**64, 1e308, [[]], [0], [-1, 5],
        [2**32, 2**32], [0, 2**63], [SIZE, 3], "F64", "BF16", "F8_E4M3", "I64", "U8", other.get(key), list(other.values())[0],
    ]  # fmt: skip
    entry[key] = values[rng.integers(len(values))]
    return joined(header)


def exchanged(rng):
    """Two tensors have each other's place, or one has a neighbour's name, or is not there."""
    header = json.loads(json.dumps(HEADER))
    a, b = rng.choice([name for name in sorted(header) if name != "__metadata__"], 2, replace=False)
    kind = rng.integers(4)
    if kind == 0:
        header[a], header[b] = header[b], header[a]
    elif kind == 1:
        header[a]["data_offsets"], header[b]["data_offsets"] = header[b]["data_offsets"], header[a]["data_offsets"]
    elif kind == 2:
        header[a]["data_offsets"] = header[b]["data_offsets"]
    else:
        del header[a]
    return joined(header)


def spoilt(rng):
    """A number of a tensor is none, or another."""
    data = np.frombuffer(DATA, np.float32).copy()
    data[rng.integers(len(data))] = rng.choice([np.nan, np.inf, -np.inf, 3e38, 1e-45, 0.5])
    return joined(HEADER, data.tobytes())


def doubled(rng):
    """A key appears twice: two readers of JSON would take two different ones."""
    text = json.dumps(HEADER)
    name = rng.choice(sorted(HEADER))
    entry = json.dumps(HEADER[rng.choice(sorted(HEADER))])
    extra = f'{json.dumps(str(name))}: {entry}'
    text = f"{{{extra}, {text[1:]}" if rng.random() < 0.5 else f"{text[:-1]}, {extra}}}"
    return joined(text.encode())


def nested(rng):
    depth = int(rng.integers(100, 100_000))
    return joined(rng.choice([b"[" * depth, b'{"a":' * depth, b'{"__metadata__":' + b"[" * depth + b"]" * depth + b"}"]))


def oversized(rng):
    """The header claims more than there is, or is mostly white space, names or digits."""
    kind = rng.integers(4)
    if kind == 0:
        claimed = (2**63, 2**64 - 1, MAX_HEADER_BYTES + 1, len(BLOB))
        return struct.pack("<Q", claimed[rng.integers(4)]) + BLOB[8:]
    text = json.dumps(HEADER).encode()
    room = MAX_HEADER_BYTES - len(text) - int(rng.integers(-2, 100))
    if kind == 1:
        return joined(text + b" " * room)
    if kind == 2:
        return joined(b'{"' + b"x" * room + b'": 1, ' + text[1:])
    return joined(b'{"x": ' + b"9" * room + b", " + text[1:])


MUTATIONS = (flipped, cut, lengthened, spliced, edited, exchanged, spoilt, doubled, nested, oversized)


def test_no_mutant_is_taken_for_another_actor_and_none_does_more_than_be_refused():
    rng, taken, refused = np.random.default_rng(0), {}, {}
    for k in range(MUTANTS):
        mutation = MUTATIONS[k % len(MUTATIONS)]
        blob = mutation(rng)
        try:
            found = unpack(blob)
        except WeightsError:
            refused[mutation] = refused.get(mutation, 0) + 1
        else:
            assert same(found, ACTOR), f"{mutation.__name__}: mutant {k} was taken for another actor"
            taken[mutation] = taken.get(mutation, 0) + 1
    assert set(refused) == set(MUTATIONS)
    assert set(taken) <= {oversized, edited}, "white space after the header, and values exchanged for equal ones, are no harm"


@pytest.mark.parametrize("blob", [nested(np.random.default_rng(k)) for k in range(3)] + [b"\0" * (MAX_BYTES + 1)])
def test_what_is_refused_costs_no_more_memory_than_itself(blob):
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            unpack(blob)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_HEADER_BYTES
    finally:
        tracemalloc.stop()


def repacked(**tensors):
    """The actor with other tensors, and no word about it in its checksum."""
    arrays = {**load(BLOB), **tensors}
    return save({name: tensor for name, tensor in arrays.items() if tensor is not None}, HEADER["__metadata__"])


def test_a_checksum_covers_numbers_and_words():
    weight = load(BLOB)["layer1.weight"].copy()
    weight[3, 4] = np.nextafter(weight[3, 4], np.float32(9))
    words = HEADER["__metadata__"]
    for blob in (repacked(**{"layer1.weight": weight}), joined({**HEADER, "__metadata__": {**words, "radius": "3.0"}})):
        with pytest.raises(WeightsError, match="weights have checksum .*, recorded is .*: damaged"):
            unpack(blob)
    with pytest.raises(WeightsError, match="recorded is nothing"):
        unpack(joined({**HEADER, "__metadata__": {k: v for k, v in words.items() if k != "checksum"}}))


def test_layers_that_say_nothing_or_never_end_are_refused():
    size, out = ACTOR.layers[0][0].shape[1], CONTRACT.noise_shape[0] * CONTRACT.noise_shape[1]

    def layer(rows, columns):
        return np.zeros((rows, columns), np.float32), np.zeros(rows, np.float32)

    empty = replace(ACTOR, layers=(layer(0, size), layer(out, 0)))
    with pytest.raises(WeightsError, match=r"layer0\.weight has shape \(0, "):
        unpack(pack_weights(empty))
    endless = replace(ACTOR, layers=(layer(4, size), *[layer(4, 4)] * 20, layer(out, 4)))
    with pytest.raises(WeightsError, match="unexpected tensor"):
        unpack(pack_weights(endless))
