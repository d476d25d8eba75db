"""Chunks that go on from the rows of the one before: which rows are given, with which weights, and that it can be done again."""

from types import SimpleNamespace

import numpy as np
import pytest
from flying import FlyingCell
from steering_fakes import Cell, FakeDecoder, random_actor
from test_steering_ahead import delayed

from lpds_ros.steering.flight_check import check_chunks
from lpds_ros.steering.flight_file import read_flight, write_flight
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.prefix import PrefixError, given_rows

ON = SteeringParams(prefix=True)


class CompletingDecoder(FakeDecoder):
    """Mixes what is given into its chunk, and keeps what it was asked."""

    takes_prefix = True

    def __init__(self):
        super().__init__()
        self.asked = []

    def decode(self, state, noise, prefix=None, weight=None):
        self.asked.append((prefix, weight))
        rows = super().decode(state, noise)
        return rows if prefix is None else rows + weight[..., None] * (prefix - rows)


def rows_by_tick(cell):
    """The rows that ran, in their order."""
    return np.concatenate([decision.executed[: decision.ticks] for decision in cell.decisions])


def test_what_will_have_run_counts_wholly_what_was_planned_less_and_less():
    running = np.ones((7, 4), np.float32)
    prefix, weight = given_rows(delayed(3, predicted=16, executed=8), running)
    assert np.array_equal(prefix, np.concatenate([running, np.zeros((9, 4))]))
    assert (weight[:3] == 1.0).all() and (weight[7:] == 0.0).all()
    assert (np.diff(weight[2:8]) < 0.0).all()
    assert weight[4] == pytest.approx(0.6 * np.expm1(0.6) / np.expm1(1.0))  # two of L - d + 1 = 5 steps down
    assert weight.dtype == prefix.dtype == np.float32
    prefix, weight = given_rows(delayed(3), None)
    assert not prefix.any() and not weight.any()


def test_a_chunk_goes_on_from_the_rows_that_run_while_it_is_decoded():
    cell = Cell(delayed(3), decoder=CompletingDecoder(), params=ON)
    cell.steps(40)
    assert cell.decoder.asked[0] == (None, None), "from rest there is nothing to go on from"
    ran, first = rows_by_tick(cell), cell.decisions[0].chunk
    prefix, weight = cell.decoder.asked[1]
    # The first chunk began at its row 0 and the next was asked for when 5 of its rows had run: 11 of 16 were still to come.
    assert np.array_equal(prefix[0, :11], first[5:]) and not prefix[0, 11:].any()
    assert (weight[0, :3] == 1.0).all() and 0.0 < weight[0, 10] < weight[0, 3] < 1.0 and weight[0, 11] == 0.0
    for index, (prefix, _) in enumerate(cell.decoder.asked[1:4]):
        assert np.array_equal(prefix[0, :3], ran[8 * index + 5 : 8 * index + 8]), "they are the very rows that ran meanwhile"


def test_the_seam_is_smaller_and_nothing_else_changes_without_the_parameter():
    seams = {}
    for name, params in (("on", ON), ("off", SteeringParams())):
        cell = Cell(delayed(3), decoder=CompletingDecoder(), params=params)
        cell.steps(90)
        pairs = zip(cell.decisions, cell.decisions[1:])
        seams[name] = np.mean([np.square(b.chunk[:3] - a.chunk[8:11]).mean() for a, b in pairs])
    assert seams["on"] < 0.5 * seams["off"]
    plain = Cell(delayed(3))
    plain.steps(90)
    assert np.array_equal(rows_by_tick(plain), rows_by_tick(cell)) and cell.decoder.asked[5] == (None, None)


def test_an_operator_or_a_hold_leaves_nothing_to_go_on_from():
    cell = Cell(delayed(3), decoder=CompletingDecoder(), params=ON)
    cell.steps(9)
    cell.step(cell.operator((0.3, 0.0, 0.0, 0.0)))
    count = len(cell.decoder.asked)
    cell.steps(4)
    assert cell.decoder.asked[count:] == [(None, None)]
    cell.step(valid=False)
    cell.steps(6)
    assert cell.decoder.asked[-1] == (None, None)


def test_a_fixed_actor_steers_the_rows_that_are_not_given():
    cells = [Cell(delayed(3), decoder=CompletingDecoder(), params=ON) for _ in range(2)]
    cells[1].core.install_weights(random_actor(delayed(3), version=2))
    for cell in cells:
        cell.steps(12)
    assert [cell.decisions[0].weights_version for cell in cells] == [0, 2]
    (prefix, weight), decision = cells[1].decoder.asked[1], cells[1].decisions[0]
    assert np.array_equal(prefix[0, :3], decision.executed[5:8]) and (weight[0, :3] == 1.0).all()


def test_a_recording_of_it_is_computed_again(tmp_path):
    cell = FlyingCell(delayed(3), decoder=CompletingDecoder(), params=ON)
    recording = cell.stopped(ticks=40)
    write_flight(tmp_path / "x.flight", recording, cell.around, "now")
    again, around, _ = read_flight(tmp_path / "x.flight")
    assert around.params.prefix
    check = check_chunks(again, around, CompletingDecoder())
    assert check.equal == check.of >= 4
    ignorant = SimpleNamespace(decode=lambda state, noise, *given: FakeDecoder().decode(state, noise))
    check = check_chunks(again, around, ignorant)
    assert check.equal == 1, "all but the first depend on what was given"


@pytest.mark.parametrize(
    ("delay", "takes", "text"), [(0, True, "horizons.delay is 0"), (3, False, "lpds prior export --prefix")]
)
def test_a_contract_or_a_decoder_that_is_not_made_for_it_is_refused(delay, takes, text):
    decoder = CompletingDecoder()
    decoder.takes_prefix = takes
    with pytest.raises(PrefixError, match=text):
        Cell(delayed(delay), decoder=decoder, params=ON)
