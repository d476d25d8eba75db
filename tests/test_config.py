"""Configuration files and assignments: numbers as people write them, errors that say where."""

import pytest

from lpds_ros.config import ConfigError, build, read_value, read_yaml, to_yaml
from lpds_ros.learning.config import LearnerConfig, load_learner_config


def test_scientific_notation_is_a_number(tmp_path):
    path = tmp_path / "learner.yaml"
    path.write_text("learning_rate: 3e-4\ntau: 1E-2\ndelta: .5\nbatch_size: 64\n")
    config = load_learner_config(path)
    assert (config.learning_rate, config.tau, config.delta, config.batch_size) == (3e-4, 1e-2, 0.5, 64)
    assert [read_value(text) for text in ("-2.5e3", "1e", "e5", "7", "true")] == [-2500.0, "1e", "e5", 7, True]


def test_what_is_written_is_read_as_it_was(tmp_path):
    tree = {"name": "5e4", "rate": 1e-5, "whole": 3, "lists": [[1.0, 2.5e10], []], "flag": False, "text": "1.5"}
    path = tmp_path / "tree.yaml"
    path.write_text(to_yaml(tree))
    assert read_yaml(path) == tree


def test_an_error_names_line_and_key_where_there_is_a_file_and_the_source_where_there_is_none(tmp_path):
    path = tmp_path / "learner.yaml"
    path.write_text("delta: 0.1\nbatch_size: 1.5\n")
    with pytest.raises(ConfigError, match=r"learner\.yaml:2: batch_size: expected int, got 1\.5"):
        build(LearnerConfig, read_yaml(path), path)
    with pytest.raises(ConfigError, match="^here: delta must be positive, got -1.0$"):
        build(LearnerConfig, {"delta": -1}, "here")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_value("[1")


def test_a_value_that_its_class_refuses_is_placed_too(tmp_path):
    from lpds_ros.contract import ContractError, load_contract
    from lpds_ros.resources import resource

    path = tmp_path / "lift.yaml"
    path.write_text(resource("config/contracts/lift.yaml").read_text().replace("rate_hz: 20.0", "rate_hz: -20.0"))
    with pytest.raises(ContractError, match=r"lift\.yaml:\d+: rate_hz must lie in"):
        load_contract(path)
