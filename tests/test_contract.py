"""The contract: what a feature may be relative to, and what that changes for those who share it."""

from dataclasses import replace

import pytest
from steering_fakes import lift

from lpds_ros.contract import (
    ContractError,
    Feature,
    contract_directory,
    contract_from_dict,
    contract_to_dict,
    load_contract,
)


def with_feature(**changes):
    """lift, its relative feature changed."""
    observation = [replace(f, **changes) if f.name == "object_from_ee" else f for f in lift().observation]
    return replace(lift(), observation=tuple(observation))


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"relative_to": "pos"}, "'object_from_ee': relative_to names no stream: 'pos', did you mean 'pose'"),
        ({"relative_to": "zzz"}, "relative_to names no stream: 'zzz'; valid: gripper, joint_state, object, pose"),
        ({"relative_to": "gripper"}, "'object_from_ee': relative_to needs a stream of the same type"),
        ({"relative_to": "object"}, "relative to its own stream it would always be zero"),
        ({"field": "orientation", "size": 4}, "'object_from_ee': relative_to needs .* a field that subtracts"),
    ],
)
def test_what_nothing_can_be_subtracted_from_is_refused(changes, text):
    with pytest.raises(ContractError, match=text):
        with_feature(**changes)


def test_the_yaml_is_refused_by_file_and_nearest_name(tmp_path):
    path = tmp_path / "lift.yaml"
    text = (contract_directory() / "lift.yaml").read_text()
    path.write_text(text.replace("relative_to: pose", "relative_to: posse"))
    with pytest.raises(ContractError, match="'posse', did you mean 'pose'"):
        load_contract(path)
    path.write_text(text.replace("relative_to: pose", "relativ_to: pose"))
    with pytest.raises(ValueError, match="unknown key 'relativ_to', did you mean 'relative_to'"):
        load_contract(path)


def test_relative_or_absolute_is_another_contract():
    assert with_feature(relative_to="").digest != lift().digest
    assert with_feature().digest == lift().digest


@pytest.mark.parametrize("path", sorted(contract_directory().glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_contracts_survive_being_stored(path):
    contract = load_contract(path)
    again = contract_from_dict(contract_to_dict(contract), "a bundle")
    assert again == contract and again.digest == contract.digest
    relative = [f.relative_to for f in again.observation if f.name == "object_from_ee"]
    assert relative == (["pose"] if "object" in contract.streams else [])


def test_slices_cover_the_observation_without_gap_in_the_features_order():
    contract = replace(lift(observed=3), observation=(*lift().observation, Feature("q", "joint_state", "position", 7)))
    ends = [0, *(where.stop for where in contract.feature_slices().values())]
    assert [where.start for where in contract.feature_slices().values()] == ends[:-1]
    assert list(contract.feature_slices()) == [f.name for f in contract.observation]
    assert ends[-1] == contract.observation_size == lift().observation_size + 7
    assert contract.state_size == 3 * contract.observation_size
