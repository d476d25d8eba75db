"""Files made to harm: refused with an error of ours, without more memory than they are long, and nothing of them is ever run."""

import hashlib
import io
import json
import pickle
import zipfile

import h5py
import lz4.frame
import numpy as np
import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.records import Chunk
from mcap.stream_reader import StreamReader
from synthetic_demos import small_contract, synthetic_demos
from test_data_rollout_log import steered

from lpds_ros.config import ConfigError, read_value, read_yaml
from lpds_ros.contract import contract_to_dict, load_contract
from lpds_ros.data.definitions import DECISION, DefinitionError, Definitions
from lpds_ros.data.demos import DemoError, read_demos, write_demos_hdf5
from lpds_ros.data.rollout_log import RolloutLogWriter, read_log
from lpds_ros.durable import read_arrays
from lpds_ros.prior.checkpoint import INDEX, load_checkpoint
from lpds_ros.prior.config import PriorError
from lpds_ros.prior.runtime import ProviderError, open_model
from lpds_ros.resources import resource

CONTRACT = small_contract()
DEEP = 200_000


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self._mark = str(mark)

    def __reduce__(self):
        return open, (self._mark, "w")


@pytest.fixture
def mark(tmp_path):
    """A file that only code out of a malicious file would write."""
    mark = tmp_path / "owned"
    yield mark
    assert not mark.exists(), "code out of the file was run"


def test_the_payload_would_have_left_its_mark(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "x"))).close()
    assert (tmp_path / "x").exists()


# -- YAML ------------------------------------------

YAML = {
    "python": "a: !!python/object/apply:builtins.open ['{mark}', 'w']",
    "python name": "a: !!python/name:os.system",
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "merge": "a: {b: 1}\n<<: {c: 2}",
    "deep": "a: " + "[" * DEEP,
    "deep block": "".join(" " * i + "a:\n" for i in range(1500)),
    "twice": "a: 1\na: 2",
    "no date": "a: !!timestamp x",
    "no bool": "a: !!bool x",
    "no int": "a: !!int ''",
    "many digits": "a: " + "9" * 10_000,
    "no base64": "a: !!binary é",
    "no pairs": "a: !!pairs [1, 2]",
    "no mapping": "- a",
    "unknown tag": "a: !lpds x",
    "control": "a: \x00",
    "several": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_made_to_harm_is_refused(tmp_path, mark, name):
    path, text = tmp_path / "some.yaml", YAML[name].replace("{mark}", str(mark))
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        read_yaml(path)
    if name != "no mapping":
        with pytest.raises(ConfigError):
            read_value(text)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: 1\n" + b"#" * (1 << 20)])
def test_yaml_that_is_no_text_or_too_much_of_it(tmp_path, content):
    (tmp_path / "some.yaml").write_bytes(content)
    with pytest.raises(ConfigError):
        read_yaml(tmp_path / "some.yaml")


@pytest.mark.parametrize("number", [".nan", "-.inf", "1e999", "9" * 400, "true", "20 Hz", "[20]", "{a: 1}", "0x14zz", "null"])
def test_a_contract_with_a_number_that_is_none_names_file_line_and_key(tmp_path, number):
    text = resource("config/contracts/lift.yaml").read_text().replace("rate_hz: 20.0", f"rate_hz: {number}")
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml:5: rate_hz"):
        load_contract(tmp_path / "c.yaml")


def test_a_damaged_contract_is_refused_or_another_contract(tmp_path):
    original, rng = resource("config/contracts/lift.yaml").read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(1000):
        blob = bytearray(original)
        for at in rng.integers(len(blob), size=3):
            blob[at] = rng.integers(256) if rng.random() < 0.3 else rng.choice(list(b":{}[],-.#&*!|>'\"%@` \n09e"))
        (tmp_path / "c.yaml").write_bytes(blob)
        try:
            load_contract(tmp_path / "c.yaml")
        except ConfigError:
            refused += 1
    assert 300 < refused < 1000


# -- npz ------------------------------------------


def zipped(content: bytes, name="action_1.npy", times=1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(times):
            archive.writestr(name if times == 1 else f"{number}{name}", content)
    return out.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_arrays_made_to_harm_are_refused(mark):
    pickled = io.BytesIO()
    np.save(pickled, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    code = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').system('touch {mark}'),), }}"
    damaged = bytearray(zipped(b"x" * 1000))
    damaged[60:70] = b"\xff" * 10
    for content in (
        zipped(pickled.getvalue()),
        zipped(b"\0" * (1 << 22)),  # a bomb: 4 kB that unpack to 4 MB
        zipped(b"\0" * (1 << 19), times=4),
        zipped(header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }")),
        zipped(header(code)),
        zipped(header("[" * 5000)),
        zipped(b""),
        bytes(damaged),
        b"no zip",
        b"",
    ):
        with pytest.raises(ValueError):
            read_arrays(content, 1 << 20)
    honest = io.BytesIO()
    np.savez(honest, a=np.arange(3))
    assert read_arrays(honest.getvalue(), 1 << 20)["a"].tolist() == [0, 1, 2]


# -- decoders ------------------------------------------


def test_a_decoder_whose_numbers_lie_in_another_file_is_refused(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    monkeypatch.chdir(tmp_path)
    for place in ("secret.bin", str(tmp_path / "secret.bin"), f"../{tmp_path.name}/secret.bin"):
        tensor = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=place)
        ends = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in ("x", "y")]
        graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [tensor])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
        with pytest.raises(ProviderError, match="cannot run this decoder"):
            open_model(model.SerializeToString(), "cpu")


# -- training runs ------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"\xff\xfe",
        b"[" * DEEP,
        b"[]",
        b"null",
        b"9" * 10_000,
        b'{"schema": 1}',
        b'{"schema": 1, "tensors": 5, "sha256": ""}',
        b'{"schema": 1, "tensors": "../../outside", "sha256": ""}',
        b'{"schema": 1, "tensors": "/etc/passwd", "sha256": ""}',
    ],
)
def test_an_index_made_to_harm_is_refused(tmp_path, index):
    run = tmp_path / "a" / "run"
    run.mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"")  # whose checksum would be another than the index's
    (run / INDEX).write_bytes(index)
    with pytest.raises(PriorError):
        load_checkpoint(run)


def test_pickled_tensors_are_never_unpickled(tmp_path, mark):
    content = pickle.dumps(Payload(mark))
    index = {
        "schema": 1,
        "update": 1,
        "tensors": "t.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "config": {},
        "demos": {},
        "history": [],
        "contract": contract_to_dict(CONTRACT),
    }
    (tmp_path / "t.safetensors").write_bytes(content)
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(PriorError, match="damaged checkpoint"):
        load_checkpoint(tmp_path)


# -- rollout logs ------------------------------------------


def test_a_definition_with_anything_but_fields_never_becomes_code(mark):
    code = f"__import__('os').system('touch {mark}')"
    rule = "=" * 80 + "\n"
    for text in (
        f"float32 x\n{rule}MSG: a/B:pass;{code}#\nint32 y\n",
        f"float32 x\n{rule}MSG: {code}/B\nint32 y\n",
        f'string A="+{code}+"\nfloat32 x\n',
        f"int32 A={code}\n",
        f"float32 x {code}\n",
        f"float32 x 1.0;{code}\n",
        f"float32[{code}] x\n",
        "float32[4000000000000] x\n",
        "float32 x\n" * 10_000,
    ):
        with pytest.raises(DefinitionError):
            Definitions().learn(DECISION, text)


def test_our_own_definitions_and_a_recorders_with_comments_are_learned():
    known = Definitions()
    text = known.text(DECISION)
    Definitions().learn(DECISION, text)
    Definitions().learn(DECISION, text.replace("string session", "# a comment\n\nstring session   # another; with 'signs'"))
    assert "uint8 SOURCE_PRIOR=0" in text, "constants must be among what was learned"


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_a_chunk_that_unpacks_to_much_more_is_not_unpacked(tmp_path, kind, monkeypatch):
    path = tmp_path / "rollouts.mcap"
    with RolloutLogWriter(path, CONTRACT) as log:
        log.write_decision(steered(0))
    bomb = b"\0" * (64 << 20)
    small = lz4.frame.compress(bomb) if kind == "lz4" else zstandard.compress(bomb)
    assert len(small) < len(bomb) / 200
    chunk = Chunk(compression=kind, data=small, message_start_time=0, message_end_time=1, uncompressed_crc=0, uncompressed_size=9)
    content = bytearray(path.read_bytes())
    with path.open("rb") as stream:  # put the bomb where the first chunk begins
        reader = StreamReader(stream, emit_chunks=True)
        for record in reader.records:
            if isinstance(record, Chunk):
                break
            where = stream.tell()
    body = _serialised(chunk)
    path.write_bytes(bytes(content[:where]) + body + bytes(content[where:]))

    def never(*_, **__):
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(f"mcap.stream_reader.{'lz4' if kind == 'lz4' else 'zstandard'}.decompress", never)
    log = read_log(path)
    assert len(list(log)) == 1 and f"compressed ('{kind}')" in log.skipped[0].reason, "left out, the one after it read"


def _serialised(chunk: Chunk) -> bytes:
    builder = RecordBuilder()
    chunk.write(builder)
    return builder.end()


def test_a_damaged_log_gives_what_is_whole_and_never_more(tmp_path):
    path, rng = tmp_path / "rollouts.mcap", np.random.default_rng(0)
    with RolloutLogWriter(path, CONTRACT) as log:
        for number in range(4):
            log.write_decision(steered(number))
    original, whole = path.read_bytes(), 0
    honest = {record.decision_id: record.chunk.tobytes() for _, record in read_log(path)}
    for _ in range(300):
        blob = bytearray(original)
        for at in rng.integers(len(blob), size=rng.integers(1, 4)):
            blob[at] ^= 1 << rng.integers(8)
        if rng.random() < 0.3:
            blob = blob[: rng.integers(len(blob))]
        path.write_bytes(blob)
        found = {record.decision_id: record.chunk.tobytes() for _, record in read_log(path)}
        assert found.items() <= honest.items()
        whole += found == honest
    assert 0 < whole < 250


# -- demonstrations ------------------------------------------


def spoilt(tmp_path, change):
    path = write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(CONTRACT), CONTRACT)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def _in_place(file, key, **named):
    del file[key]
    file.create_dataset(key, **named)


def _link(file, key, link):
    del file[key]
    file[key] = link


FEATURE = f"data/demo_0/obs/{CONTRACT.observation[0].name}"
HARMFUL = {
    "declares a petabyte": lambda f: _in_place(f, FEATURE, shape=(10**6, 10**6, 100), dtype="f8", chunks=(1, 1, 100)),
    "declares many ticks": lambda f: _in_place(f, "data/demo_0/rewards", shape=(10**9,), dtype="f4", chunks=(1024,)),
    "numbers of another file": lambda f: _in_place(
        f, "data/demo_0/rewards", shape=(9,), dtype="u1", external=[("/etc/passwd", 0, 9)]
    ),
    "link to another file": lambda f: _link(f, FEATURE, h5py.ExternalLink("/etc/passwd", "/")),
    "group of another file": lambda f: _link(f, "data/demo_0", h5py.ExternalLink("other.hdf5", "/data/demo_0")),
    "all of another file": lambda f: _link(f, "data", h5py.ExternalLink("other.hdf5", "/data")),
    "link to itself": lambda f: _link(f, "data/demo_0/actions", h5py.SoftLink("/data/demo_0/actions")),
    "texts": lambda f: _in_place(f, "data/demo_0/actions", data=np.array([[b"x"] * 4] * 9)),
    "objects": lambda f: _in_place(f, "data/demo_0/actions", shape=(9, 4), dtype=h5py.string_dtype()),
    "a scalar": lambda f: _in_place(f, "data/demo_0/rewards", data=3.0),
    "a group for an array": lambda f: (f.pop("data/demo_0/rewards"), f.create_group("data/demo_0/rewards")),
    "an array for a group": lambda f: _in_place(f, "data/demo_0", data=np.zeros(3)),
    "nothing after": lambda f: _in_place(f, FEATURE.replace("obs", "next_obs"), shape=(0, 3), dtype="f4"),
    "NaN": lambda f: f["data/demo_0/actions"].__setitem__((0, 0), np.nan),
    "no JSON": lambda f: f["data"].attrs.__setitem__("contract", "{"),
    "deep JSON": lambda f: f["data"].attrs.__setitem__("contract", "[" * 30_000),
    "no text": lambda f: f["data"].attrs.__setitem__("contract", 5),
    "no actions": lambda f: f.pop("data/demo_0/actions"),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_demonstrations_made_to_harm_are_refused(tmp_path, name):
    path = spoilt(tmp_path, HARMFUL[name])
    write_demos_hdf5(tmp_path / "other.hdf5", synthetic_demos(CONTRACT), CONTRACT)
    with pytest.raises(DemoError):
        read_demos(path)


def test_a_pickle_is_no_demonstration_file(tmp_path, mark):
    (tmp_path / "demos.hdf5").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(DemoError):
        read_demos(tmp_path / "demos.hdf5")
