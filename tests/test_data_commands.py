"""The verbs around demonstrations and priors, as a person types them."""

import signal

import pytest
from synthetic_demos import small_contract, synthetic_demos

from lpds_ros.cli import main
from lpds_ros.data.demos import digest_demos, read_demos, write_demos_hdf5
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.checkpoint import load_checkpoint
from lpds_ros.resources import resource

CONTRACT = small_contract()


@pytest.fixture
def demos(tmp_path):
    return write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(CONTRACT)[:3], CONTRACT)


def test_convert_there_and_back_keeps_every_number(tmp_path, demos, capsys):
    log, back = tmp_path / "demos.mcap", tmp_path / "back.hdf5"
    assert main(["demos", "convert", str(demos), str(log)]) == 0
    assert main(["demos", "convert", str(log), str(back)]) == 0
    assert read_demos(back).digest == read_demos(demos).digest == digest_demos(synthetic_demos(CONTRACT)[:3])
    assert "3 demonstrations" in capsys.readouterr().out
    assert main(["demos", "convert", str(demos), str(back)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["demos", "convert", str(demos), str(log), "--overwrite"]) == 0


def test_info_counts_and_maps(demos, capsys):
    assert main(["demos", "info", str(demos)]) == 0
    text = capsys.readouterr().out
    assert "3 (3 successful)" in text and "20/20.5/21/21.5/22" in text and CONTRACT.digest in text
    assert "gripper" in text and "object_position at the start" in text and "ee_position at the start" in text


def test_train_resume_and_export(tmp_path, demos, capsys):
    config = tmp_path / "prior.yaml"
    config.write_text("{width: 16, blocks: 1, batch: 8, evaluate_every: 4, checkpoint_every: 4, updates: 99}")
    run, bundle = tmp_path / "run", tmp_path / "models" / "lift"
    train = ["prior", "train", "--demos", str(demos), "--out", str(run)]
    assert main([*train, "--config", str(config), "--kind", "flow", "--steps", "6", "--seed", "5"]) == 0
    checkpoint = load_checkpoint(run)
    assert (checkpoint.config.kind, checkpoint.update, checkpoint.config.seed, checkpoint.config.width) == (
        "flow",
        6,
        5,
        16,
    )
    assert main([*train, "--config", str(config)]) == 2, "a run is not overwritten"
    assert main([*train, "--resume", "--steps", "9"]) == 0
    assert load_checkpoint(run).update == 9
    by_hand = ["--reward", "operator"]  # for a real arm, where nobody but a person sees what succeeds
    assert main(["prior", "export", "--checkpoint", str(run), "--out", str(bundle), *by_hand]) == 0
    assert load_bundle(bundle).kind == "flow" and load_bundle(bundle).name == "lift"
    assert (load_bundle(bundle).contract.reward.source, checkpoint.contract.reward.source) == ("operator", "task_state")
    assert "digest" in capsys.readouterr().out


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path, demos, capsys, monkeypatch):
    from lpds_ros.prior import train as training

    config, run = tmp_path / "prior.yaml", tmp_path / "run"
    config.write_text("{width: 16, blocks: 1, batch: 8}")
    step = training._Run.step

    def interrupted_step(self):
        if self.update == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self)

    monkeypatch.setattr(training._Run, "step", interrupted_step)
    before = signal.getsignal(signal.SIGINT)
    train = ["prior", "train", "--demos", str(demos), "--out", str(run), "--steps", "6"]
    assert main([*train, "--config", str(config)]) == 130
    assert "--resume" in capsys.readouterr().out and signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(run).update == 3
    assert main([*train, "--resume"]) == 0
    assert load_checkpoint(run).update == 6


@pytest.mark.parametrize(
    "words, text",
    [
        (["demos", "info", "absent.hdf5"], "no such file"),
        (["prior", "train", "--demos", "DEMOS", "--contract", "lfit"], "did you mean 'lift'"),
        (["prior", "train", "--demos", "DEMOS", "--contract", "OTHER"], "was made under contract"),
        (["prior", "export", "--checkpoint", "absent", "--out", "x"], "no checkpoint.json"),
        (["demos", "convert", "DEMOS", "x.zip"], "must end in"),
    ],
)
def test_what_is_wrong_is_one_line(demos, capsys, tmp_path, words, text):
    other = tmp_path / "other.yaml"
    other.write_text(resource("config/contracts/lift.yaml").read_text().replace("rate_hz: 20.0", "rate_hz: 10.0"))
    named = {"DEMOS": str(demos), "OTHER": str(other)}
    assert main([named.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err.strip()
    assert text in error and len(error.splitlines()) == 1
