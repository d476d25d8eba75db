"""Chunks decoded ahead: no tick waits for the decoder, and what runs is what lockstep would have run."""

import contextlib
import dataclasses
import math
import os
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from steering_fakes import SECOND, Cell, FakeDecoder, lift, random_actor
from synthetic_demos import synthetic_demos

from lpds_ros.contract import Contract, ContractError, Horizons, contract_from_dict, contract_to_dict
from lpds_ros.data.demos import decisions_from_demo, read_demos
from lpds_ros.data.robomimic import write_demos_hdf5
from lpds_ros.learning.base import ReplayLearner
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.records import Mode, Source
from lpds_ros.steering.ahead import SlowDecoderError, Worker, check_pace
from lpds_ros.steering.core import SteeringCore, SteeringParams
from lpds_ros.steering.schedule import ChunkError


def delayed(delay=3, predicted=16, executed=8, **changes) -> Contract:
    return dataclasses.replace(lift(**changes), horizons=Horizons(1, predicted, executed, delay))


class GatedDecoder(FakeDecoder):
    """Decodes only while its gate is open, as a slow device would finish when it likes."""

    def __init__(self, open=True, **named):
        super().__init__(**named)
        self.gate = threading.Event()
        if open:
            self.gate.set()

    def decode(self, state, noise):
        assert self.gate.wait(30)
        return super().decode(state, noise)


@pytest.fixture
def live():
    """Makes a cell whose core decodes in a thread."""
    cells = []

    def make(decoder, contract=None):
        cell = Cell(contract or delayed(), decoder=decoder, begin=False)
        cell.core = SteeringCore(cell.contract, SteeringParams(), decoder, seed=3, session="session", threaded=True)
        cell.core.begin_episode(0, 7)
        cells.append(cell)
        return cell

    yield make
    for cell in cells:
        cell.decoder.gate.set()
        cell.core.close()


def settle(cell):
    """Wait until the chunk asked for, if any, is decoded: a tick later it would be there anyway."""
    future = cell.core._ahead._future
    if future is not None:
        future.result(30)


def steps_in_time(cell, count):
    """Ticks of which none waits for a chunk."""
    for _ in range(count):
        cell.step()
        settle(cell)


def test_a_chunk_starts_at_the_row_of_its_tick_and_decisions_meet_at_their_states():
    cell = Cell(delayed(3))
    seen = []
    for _ in range(40):
        seen.append(cell.observation().data)
        cell.step()
    assert [tick.reason for tick in cell.ticks[:4]] == ["decoding the first chunk"] * 3 + [cell.ticks[3].reason]
    assert all(tick.source == Source.PRIOR for tick in cell.ticks[3:])
    first, second, third = cell.decisions[:3]
    # The first chunk waited for nothing that moved: it runs from its row 0. The others from row 3.
    assert [len(d.chunk) for d in (first, second, third)] == [16, 13, 13]
    for decision, decided_at in ((first, 0), (second, 8), (third, 16)):
        assert np.array_equal(decision.observation, seen[decided_at]) and decision.stamp_ns == SECOND * (1 + decided_at / 20)
        assert np.array_equal(decision.executed, decision.chunk[:8]) and decision.ticks == 8
        whole = FakeDecoder().decode(decision.observation[None], decision.noise[None])[0]
        assert np.array_equal(decision.chunk, whole[16 - len(decision.chunk) :])
    assert np.array_equal(first.next_observation, second.observation)
    assert np.array_equal(second.next_observation, third.observation)


@pytest.mark.parametrize("delay", [1, 8])
def test_a_thread_gives_the_very_commands_of_lockstep(live, delay):
    contract = delayed(delay)
    lockstep, real = Cell(contract), live(GatedDecoder(), contract)
    for core in (lockstep.core, real.core):
        core.install_weights(random_actor(contract, version=4))
    for _ in range(60):
        lockstep.step()
        real.step()
        settle(real)
    assert [d.weights_version for d in real.decisions] == [4] * len(real.decisions) and len(real.decisions) >= 5
    for ours, theirs in zip(real.ticks, lockstep.ticks, strict=True):
        assert ours.mode == theirs.mode and len(ours.targets) == len(theirs.targets)
        assert all(np.array_equal(a.position, b.position) for a, b in zip(ours.targets, theirs.targets))
    for ours, theirs in zip(real.decisions, lockstep.decisions, strict=True):
        assert np.array_equal(ours.executed, theirs.executed) and np.array_equal(ours.next_observation, theirs.next_observation)


def test_a_late_chunk_lets_the_old_one_go_on_then_the_arm_is_held_and_nothing_jumps(live):
    cell = live(GatedDecoder())
    cell.step()
    settle(cell)
    cell.steps(2)
    ran = [cell.step() for _ in range(5)]
    cell.decoder.gate.clear()
    ran += cell.steps(3)  # the next chunk was asked for at the first of these
    longest = 0.0
    for _ in range(8):
        began = time.perf_counter()
        ran.append(cell.step())
        longest = max(longest, time.perf_counter() - began)
    assert longest < 5.0  # of the 30 s that the decoder would have taken
    assert not cell.decisions  # what is earned while waiting belongs to the decision before
    # Rows 8 to 12 of the old chunk, then the new one would not have 8 rows left: 3 + 5 of 16 have gone by.
    assert [tick.mode for tick in ran[8:]] == [Mode.PRIOR] * 5 + [Mode.HOLD] * 3
    assert "the last chunk has run out" in ran[-1].reason and cell.core.late_ticks == (5, 3)
    cell.decoder.gate.set()
    settle(cell)
    cell.position = cell.position + [0.04, 0.0, 0.0]  # somebody moved the arm meanwhile
    moved = cell.position
    again = cell.step()
    assert np.linalg.norm(again.targets[-1].position - moved) <= 0.25 / cell.contract.rate_hz + 1e-9
    for _ in range(8):
        settle(cell)
        cell.step()
    first, late = cell.decisions
    assert first.ticks == 8 and not first.truncated and np.array_equal(first.next_observation, late.observation)
    assert len(late.chunk) == 16 - 8 and np.array_equal(late.executed, late.chunk[:8])
    limit = 0.25 / cell.contract.rate_hz + 1e-9
    last = [tick.targets[-1].position for tick in cell.ticks if tick is not again]
    steps = [np.linalg.norm(b - a) for a, b in zip(last, last[1:])]
    assert sorted(steps)[-2] <= limit and len(steps) > 25  # the one above it is the hand that moved the arm


def test_what_is_earned_while_a_chunk_is_late_belongs_to_the_decision_before(live):
    cell = live(GatedDecoder())
    steps_in_time(cell, 8)
    cell.decoder.gate.clear()
    cell.steps(6)  # the last three on the rest of the chunk
    ended = cell.step(reward=1.0, success=True)
    assert ended.episode.success and cell.core.late_ticks[0] == 3
    (decision,) = cell.decisions
    assert decision.terminated and decision.rewards.tolist() == [0.0] * 7 + [1.0]


def test_what_an_operator_earns_after_letting_go_is_the_operators():
    cell = Cell(delayed(3))
    [cell.step(cell.operator((0.2, 0.0, 0.0, 0.0))) for _ in range(2)]
    cell.step()
    ended = cell.step(reward=1.0, success=True)
    assert ended.episode.success
    (decision,) = cell.decisions
    assert decision.source == Source.OPERATOR and decision.terminated and decision.rewards[:2].tolist() == [0.0, 1.0]


def test_a_chunk_of_an_observation_long_past_is_never_run(live):
    cell = live(GatedDecoder())
    steps_in_time(cell, 9)
    cell.decoder.gate.clear()
    cell.now_ns += 16 * cell.contract.period_ns  # the node was stalled for as long as a chunk lasts
    asked = cell.core._ahead.stamp_ns
    assert cell.step().mode == Mode.HOLD and cell.core._ahead.stamp_ns > asked
    cell.decoder.gate.set()
    settle(cell)
    assert [tick.reason for tick in cell.steps(2)] == ["decoding the first chunk"] * 2
    assert cell.step().source == Source.PRIOR


def test_chunks_nobody_waits_for_do_not_pile_up(live):
    cell = live(GatedDecoder(open=False))
    for _ in range(10):
        cell.step()
        cell.step(cell.operator((0.1, 0.0, 0.0, 0.0)))
    cell.step()
    cell.decoder.gate.set()
    settle(cell)
    assert cell.decoder.calls <= 2  # the first, if it had begun, and the last


def test_the_decoding_thread_keeps_the_ordinary_scheduler():
    worker, future = Worker(), Future()
    worker.submit(future, lambda: (threading.current_thread().name, os.sched_getscheduler(0)))
    assert future.result(30) == ("decode", os.SCHED_OTHER)
    worker.end()


def test_an_operator_drops_the_chunk_under_way_and_the_policy_starts_anew(live):
    cell = live(GatedDecoder())
    steps_in_time(cell, 9)
    assert cell.core._ahead.under_way
    taken = cell.step(cell.operator((0.3, 0.0, 0.0, 0.0)))
    assert taken.source == Source.OPERATOR and not cell.core._ahead.under_way
    released = [cell.step()]
    settle(cell)
    released += cell.steps(3)
    assert [tick.reason for tick in released[:3]] == ["decoding the first chunk"] * 3
    assert released[3].source == Source.PRIOR
    assert [d.source for d in cell.decisions] == [Source.PRIOR, Source.OPERATOR]
    # The policy's decision leads to where the operator's began, not to the chunk that was dropped.
    assert np.array_equal(cell.decisions[0].next_observation, cell.decisions[1].observation)


def test_an_invalid_observation_drops_the_chunk_under_way():
    cell = Cell(delayed(3))
    cell.steps(9)
    assert cell.core._ahead.under_way
    assert cell.step(valid=False).mode == Mode.HOLD and not cell.core._ahead.under_way
    waits = cell.steps(8)
    assert [tick.mode for tick in waits[:5]] == [Mode.HOLD] * 5 and waits[5].source == Source.PRIOR
    assert cell.decisions[0].truncated


def test_a_decoder_that_fails_in_its_thread_holds_the_arm(live):
    def broken(rows):
        raise RuntimeError("device lost")

    cells = [live(GatedDecoder()), Cell(delayed())]
    for cell in cells:
        steps_in_time(cell, 8)
        cell.decoder.poison = broken
        cell.step()
        with contextlib.suppress(ChunkError):
            settle(cell)
        failed = cell.steps(3)[-1]
        assert failed.mode == Mode.HOLD and "device lost" in failed.reason
        (decision,) = cell.decisions  # in lockstep as in real time
        assert decision.ticks == 8 and not decision.truncated
    cell = cells[0]
    cell.decoder.poison = lambda rows: rows
    steps_in_time(cell, 12)
    assert cell.ticks[-1].source == Source.PRIOR


@pytest.mark.parametrize(("delay", "taken_s", "refused"), [(0, 0.02, False), (0, 0.03, True), (3, 0.12, False), (3, 0.19, True)])
def test_a_decoder_is_refused_that_takes_longer_than_the_contract_leaves_it(delay, taken_s, refused):
    class Slow(FakeDecoder):
        def decode(self, state, noise):
            clock[0] += taken_s
            return super().decode(state, noise)

    def sleep(seconds):
        clock[0] += seconds

    clock, decoder = [0.0], Slow()
    named = dict(now_s=lambda: clock[0], sleep_s=sleep)
    if refused:
        ticks = math.ceil(taken_s * 20)
        with pytest.raises(SlowDecoderError, match=f": export the bundle.*--delay {ticks}[^0-9].*allow_slow_decoder"):
            check_pace(delayed(delay), decoder, **named)
        with pytest.raises(SlowDecoderError, match=f"executes at least {ticks} ticks and predicts {ticks} more"):
            check_pace(lift(), Slow(), **named)  # which has no row to spare
    else:
        assert check_pace(delayed(delay), decoder, **named) == pytest.approx(taken_s)


def test_a_contract_without_a_delay_is_the_contract_it_was():
    contract = lift()
    assert "delay" not in contract_to_dict(contract)["horizons"]
    other = delayed(1, predicted=9)
    assert contract_to_dict(other)["horizons"]["delay"] == 1
    assert contract_from_dict(contract_to_dict(other), "x").digest == other.digest != delayed(0, predicted=9).digest


@pytest.mark.parametrize("horizons", [(1, 8, 8, 1), (1, 16, 4, 5), (1, 8, 4, -1)])
def test_a_delay_that_leaves_too_few_rows_is_refused(horizons):
    with pytest.raises(ContractError, match="delay must lie in"):
        Horizons(*horizons)


def test_the_operators_decisions_begin_at_the_state_that_a_chunk_would_have_been_decoded_from():
    cell, seen = Cell(delayed(3)), []
    for _ in range(20):
        seen.append(cell.observation().data)
        cell.step(cell.operator((0.2, 0.0, 0.0, 0.0)))
    first, second = cell.decisions
    assert np.array_equal(first.observation, seen[0])  # nothing was seen before it
    assert np.array_equal(first.next_observation, seen[5]) and np.array_equal(second.observation, seen[5])


def test_demonstrations_are_cut_as_the_operators_decisions_are():
    contract = delayed(3)
    demo = synthetic_demos(contract)[0]
    plain, late = (decisions_from_demo(demo, c) for c in (delayed(0), contract))
    assert len(plain) == len(late) > 2
    for index, (a, b) in enumerate(zip(plain, late)):
        assert np.array_equal(a.executed, b.executed)
        assert np.array_equal(b.observation, demo.observations[max(0, 8 * index - 3)])
    assert all(np.array_equal(a.next_observation, b.observation) for a, b in zip(late, late[1:]))
    assert np.array_equal(late[-1].next_observation, plain[-1].next_observation)


def test_demonstrations_fit_whatever_the_horizons(tmp_path):
    path = write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(lift()), lift())
    found = read_demos(path, delayed(3))
    assert len(found.demonstrations) == 4 and found.contract == delayed(3)
    with pytest.raises(ContractError, match="was made under contract"):
        read_demos(path, dataclasses.replace(lift(), rate_hz=10.0))


def test_the_learner_asks_about_the_rows_that_run():
    class Plain(ReplayLearner):
        def _build(self):
            pass

    config = LearnerConfig(replay_capacity=10)
    size = delayed(3).state_size
    learner = Plain(
        delayed(3), None, prior_digest="", state_shift=np.zeros(size), state_scale=np.ones(size), config=config, seed=0
    )
    chunks = torch.arange(2 * 16 * 4, dtype=torch.float32).reshape(2, 16, 4)
    assert torch.equal(learner._executed(chunks), chunks[:, 3:11].flatten(1))


def test_the_end_waits_for_a_decode_under_way_but_not_for_one_that_hangs():
    busy, done = Worker(), threading.Event()
    busy.submit(Future(), lambda: (time.sleep(0.2), done.set()))
    busy.end()
    assert done.is_set()
    hung, gate = Worker(), threading.Event()
    hung.submit(Future(), gate.wait)
    began = time.monotonic()
    hung.end(timeout_s=0.1)
    assert time.monotonic() - began < 5.0
    gate.set()


def test_of_several_noises_the_one_that_goes_on_with_the_running_chunk_is_taken():
    contract = delayed(3)
    one, several = (Cell(contract, params=SteeringParams(candidates=count)) for count in (1, 32))
    gaps = []
    for cell in (one, several):
        cell.steps(8 * 8 + 3)
        seams = []
        for before, after in zip(cell.decisions, cell.decisions[1:]):
            planned = before.chunk[8:]  # what the running chunk would have done next, and what was done in its place
            seams.append(np.square(planned - after.chunk[: len(planned)]).mean())
        assert len(seams) >= 5
        gaps.append(np.mean(seams))
    assert gaps[1] < 0.6 * gaps[0]
    again = Cell(contract, params=SteeringParams(candidates=32))
    again.steps(8 * 8 + 3)
    for ours, theirs in zip(again.decisions, several.decisions, strict=True):
        assert np.array_equal(ours.noise, theirs.noise) and np.array_equal(ours.executed, theirs.executed)


def test_without_a_delay_one_noise_is_drawn_for_a_chunk():
    plain, asked = (Cell(lift(), params=SteeringParams(candidates=count)) for count in (1, 8))
    for cell in (plain, asked):
        cell.steps(20)
    assert all(np.array_equal(a.noise, b.noise) for a, b in zip(plain.decisions, asked.decisions, strict=True))
