"""Whatever is interrupted, the old content or the new is there, whole."""

import numpy as np
import pytest

from lpds_ros.durable import replaced_folder, surviving, write_arrays, write_whole


def fill(folder, text):
    with replaced_folder(folder) as fresh:
        (fresh / "sub").mkdir()
        (fresh / "sub" / "file").write_text(text)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    fill(tmp_path / "made" / "run", "old")
    (tmp_path / "made" / "run" / "stray").touch()
    fill(tmp_path / "made" / "run", "new")
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["run"]
    assert [p.name for p in (tmp_path / "made" / "run").iterdir()] == ["sub"]
    assert (surviving(tmp_path / "made" / "run") / "sub" / "file").read_text() == "new"


def test_what_fails_half_way_leaves_the_old_folder_and_nothing_else(tmp_path):
    fill(tmp_path / "run", "old")
    with pytest.raises(KeyboardInterrupt), replaced_folder(tmp_path / "run") as fresh:
        (fresh / "half").touch()
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["run"] and (tmp_path / "run" / "sub" / "file").read_text() == "old"


@pytest.mark.parametrize("renames", [0, 1])
def test_a_process_killed_between_renames_loses_nothing(tmp_path, monkeypatch, renames):
    class Killed(BaseException):
        pass

    path, done, rename = tmp_path / "run", [], type(tmp_path).rename

    def die_after(self, target):
        if len(done) == renames:
            raise Killed
        done.append(target)
        return rename(self, target)

    fill(path, "old")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(type(tmp_path), "rename", die_after)
        fill(path, "new")
    assert (surviving(path) / "sub" / "file").read_text() == "old"
    with monkeypatch.context() as patched, pytest.raises(Killed):  # and once more, at its next rename
        patched.setattr(type(tmp_path), "rename", lambda *_: (_ for _ in ()).throw(Killed))
        fill(path, "newer")
    assert (surviving(path) / "sub" / "file").read_text() == "old"
    fill(path, "newest")
    assert (surviving(path) / "sub" / "file").read_text() == "newest" and [p.name for p in tmp_path.iterdir()] == ["run"]


def test_arrays_come_back_and_a_failed_write_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "made" / "some.npz"
    write_arrays(path, {"a": np.arange(3), "b": np.float64(2.5)})
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2] and arrays["b"] == 2.5
    before = path.read_bytes()
    with pytest.raises(ValueError, match="a is an array of objects"):
        write_arrays(path, {"a": np.array([object()])})

    def full(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"short")
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == [path.name]
