"""The gate of the weights and the canary behind it: what may steer, what is taken back, whom the next push must know."""

from dataclasses import replace

import numpy as np
import pytest
from steering_fakes import lift, random_actor

from lpds_ros.records import Episode
from lpds_ros.steering.canary import Canary
from lpds_ros.steering.gate import Push, WeightsGate
from lpds_ros.weights import WeightsError, pack_weights, prior_parameters, sha256

WINDOW, DROP = 10, 0.3
CONTRACT = lift()


def episode(version=0, success=True, **changes) -> Episode:
    end = "success" if success else "time"
    return replace(Episode("s", 0, 0, 0, success, float(success), 30, 4, end, version), **changes)


class Robot:
    """A gate, what it installed and what it said."""

    def __init__(self, canary=None, closed=""):
        rng = np.random.default_rng(0)
        golden = [
            (rng.normal(size=(n, CONTRACT.state_size)).astype(np.float32), rng.normal(size=(n, *CONTRACT.noise_shape)))
            for n in (1, 8)
        ]
        self.ran, self.said = [], []
        self.gate = WeightsGate(
            CONTRACT,
            "",
            lambda parameters: self.ran.append(parameters.version),
            golden=golden,
            max_radius=12.0,
            canary=canary or Canary(WINDOW, DROP),
            session="session",
            on_rollback=self.said.append,
            closed=closed,
        )

    def push(self, version, lineage="", **options):
        blob = pack_weights(actor(version, **options))
        self.gate.push(Push(version, sha256(blob), lineage, blob))

    def episodes(self, version, successes):
        for success in successes:
            self.gate.ended(episode(version, success))


def actor(version, scale=0.3, **options):
    return random_actor(CONTRACT, version=version, scale=scale, seed=version, **options)


def half(count):
    return [i % 2 == 0 for i in range(count)]


def test_worse_versions_are_rolled_back_to_the_best_and_named():
    robot = Robot()
    robot.episodes(0, half(10))
    robot.push(1)
    robot.episodes(1, [True] * 10)
    assert robot.gate.kept == 1 and robot.ran == [1]
    robot.push(2)
    robot.episodes(2, [False] * 2)
    robot.push(3)
    robot.episodes(3, [False])
    assert robot.ran == [1, 2, 3], "7 of 10 are 0.3 below 10 of 10, not more"
    robot.episodes(3, [False])
    assert robot.ran == [1, 2, 3, 1]
    assert robot.gate.quarantined == 3 and robot.gate.lineage == "session/1"
    assert "version 1" in robot.said[0] and "6 of the last 10" in robot.said[0]


def test_a_policy_below_the_prior_gives_way_to_the_prior():
    robot = Robot()
    robot.episodes(0, half(20))
    robot.push(1)
    robot.episodes(1, [False] * 10)
    assert robot.ran == [1, 0] and robot.gate.kept == 0 and robot.gate.kept_fingerprint == ""


def test_a_closed_gate_takes_what_a_person_chooses_and_no_push():
    robot = Robot(closed="prefix: …")
    with pytest.raises(WeightsError, match="prefix"):
        robot.push(1)
    blob = pack_weights(actor(2))
    robot.gate.start(blob)
    assert robot.ran == [2]


def test_after_a_rollback_only_weights_that_know_of_it_are_taken():
    robot = Robot()
    robot.episodes(0, half(20))
    robot.push(1)
    robot.episodes(1, [False] * 10)
    with pytest.raises(WeightsError, match="descends from weights that were rolled back"):
        robot.push(2)
    push(robot, silent(2), "session/1")
    assert robot.gate.running == 2 and robot.gate.kept == 2, "the learner's answer is the kept version, renumbered"
    robot.push(3, lineage="session/1")
    assert robot.gate.kept == 2


def silent(version, **options):
    """Weights whose Δ is zero."""
    return replace(prior_parameters(CONTRACT, ""), version=version, radius=1.0, **options)


def push(robot, parameters, lineage):
    blob = pack_weights(parameters)
    robot.gate.push(Push(parameters.version, sha256(blob), lineage, blob))


@pytest.mark.parametrize("answer", [actor(2), silent(2, noise_scale=0.5)])
def test_an_answer_that_is_not_the_kept_version_does_not_get_its_record(answer):
    robot = Robot()
    robot.episodes(0, half(20))
    robot.push(1)
    robot.episodes(1, [False] * 10)
    push(robot, answer, "session/1")
    assert robot.gate.running == 2 and robot.gate.kept == 0


def test_the_kept_versions_bar_comes_down_to_what_it_is_worth():
    canary = Canary(WINDOW, DROP)
    for _ in range(WINDOW):
        assert not canary.judge(episode(1, True))  # lucky
    for success in half(30):
        assert not canary.judge(episode(1, success)), "a version cannot be worse than itself"
    # 25 of 40: four of ten are not 0.3 below it, three are
    for number, success in enumerate([True, False, False, True, False] * 4):
        assert not canary.judge(episode(2, success)), number
    assert "25 of 40" in canary.judge(episode(2, False))


def test_a_better_window_is_kept_and_ties_go_to_the_newer():
    canary = Canary(WINDOW, DROP)
    for version in (1, 2, 3):
        for success in [True] * 8 + [False] * 2:
            canary.judge(episode(version, success))
        assert canary.kept == version


def test_what_a_person_drove_or_stopped_says_nothing_about_a_version():
    canary = Canary(2, DROP)
    for _ in range(4):
        canary.judge(episode(0, True))
        assert not canary.judge(episode(1, False, operator_ticks=3))
        assert not canary.judge(episode(1, False, reason="lpds/stop was called"))


def test_a_drop_of_one_never_rolls_back():
    canary = Canary(WINDOW, 1.0)
    for _ in range(WINDOW):
        canary.judge(episode(0, True))
    assert not any(canary.judge(episode(1, False)) for _ in range(3 * WINDOW - 1))


def test_what_leaves_the_trust_region_on_the_golden_states_is_refused():
    robot = Robot()
    with pytest.raises(WeightsError, match="trust region"):
        robot.push(1, scale=1.0, radius=1.0)
    robot.push(1, scale=1.0, radius=100.0)
    tight = Robot()
    tight.gate._max_radius = 1.0
    with pytest.raises(WeightsError, match="the bound is 1"):
        tight.push(1, scale=1.0, radius=100.0)


def test_the_trust_region_is_of_the_noise_that_is_steered():
    """Δ = ε: with a spread of 0.1 its square is a hundredth."""
    plain, size = prior_parameters(CONTRACT, ""), CONTRACT.noise_shape[0] * CONTRACT.noise_shape[1]
    weight = np.hstack([np.zeros((size, CONTRACT.state_size), np.float32), np.eye(size, dtype=np.float32)])
    layers = ((weight, np.zeros(size, np.float32)),)
    for noise_scale, taken in ((1.0, False), (0.1, True)):
        robot = Robot()
        parameters = replace(
            plain, version=1, radius=2.0, context="state_noise", layers=layers, noise_scale=noise_scale
        )
        blob = pack_weights(parameters)
        if taken:
            robot.gate.push(Push(1, sha256(blob), "", blob))
        else:
            with pytest.raises(WeightsError, match="trust region"):
                robot.gate.push(Push(1, sha256(blob), "", blob))
        assert robot.ran == [1] * taken


def test_weights_that_overflow_are_refused_on_the_golden_states():
    robot, huge = Robot(), actor(1, scale=1e19, radius=1e5)
    blob = pack_weights(huge)
    with pytest.raises(WeightsError, match="trust region"), np.errstate(all="ignore"):
        robot.gate.push(Push(1, sha256(blob), "", blob))
    assert not robot.ran


def test_a_pinned_version_takes_no_push_and_is_not_rolled_back():
    robot = Robot()
    robot.episodes(0, [True] * 10)
    robot.push(1)
    robot.gate.pin()
    with pytest.raises(WeightsError, match="version 1 is pinned"):
        robot.push(2)
    robot.episodes(1, [False] * 20)
    assert robot.ran == [1]
    robot.gate.unpin()
    robot.push(2)
    assert robot.ran == [1, 2]


def test_a_person_goes_back_to_any_version_and_what_follows_must_descend_from_it():
    robot = Robot()
    for version in range(1, 9):
        robot.push(version)
    old = pack_weights(actor(2))
    with pytest.raises(WeightsError, match="checksum"):
        robot.gate.roll_back(old, sha256(b""))
    robot.gate.roll_back(old, sha256(old))
    assert robot.gate.running == robot.gate.kept == 2 and robot.gate.quarantined == 8
    assert robot.gate.kept_fingerprint == actor(2).fingerprint
    with pytest.raises(WeightsError, match="rolled back"):
        robot.push(9)
    robot.push(9, lineage="session/1")


def test_a_person_goes_back_to_the_prior():
    robot = Robot()
    robot.push(1)
    robot.gate.roll_back(b"", "")
    assert robot.ran == [1, 0] and robot.gate.kept == 0 and robot.gate.quarantined == 1 and robot.gate.lineage


def test_the_fingerprint_is_of_the_function_not_of_its_number():
    one = actor(1)
    assert one.fingerprint == replace(one, version=7, updates=9).fingerprint
    weight, bias = one.layers[0]
    changed = np.nextafter(weight, np.inf, dtype=np.float32)
    assert one.fingerprint != replace(one, layers=((changed, bias), *one.layers[1:])).fingerprint
    assert one.fingerprint != replace(one, context="state").fingerprint


def test_memory_holds_a_few_versions_however_many_come():
    robot = Robot()
    for version in range(1, 60):
        robot.push(version)
        robot.episodes(version, [True])
    assert len(robot.gate._held) <= 7
