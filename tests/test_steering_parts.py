"""Actor, target integration, safety filter, ladder and clock, each alone."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from steering_fakes import DOWN, READY, START, lift, random_actor

from lpds_ros.geometry import angle_between, from_rotation_vector
from lpds_ros.records import Mode
from lpds_ros.steering.actor import Actor, project
from lpds_ros.steering.clock import Ring, TickClock
from lpds_ros.steering.ladder import Ladder
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.safety import SafetyFilter, UnsafeActionError
from lpds_ros.steering.target import Target

MS = 1_000_000


# -- actor ------------------------------------------


def reference_delta(parameters, state, noise, radius):
    """Δ in float64, from the definition."""
    values = (state.astype(np.float64) - parameters.state_shift) / parameters.state_scale
    if parameters.context == "state_noise":
        values = np.concatenate([values, noise.ravel().astype(np.float64)])
    for k, (weight, bias) in enumerate(parameters.layers):
        values = weight.astype(np.float64) @ values + bias
        if k + 1 < len(parameters.layers):
            values = np.maximum(values, 0.0)
    length = np.linalg.norm(values)
    return (values * min(1.0, radius / length)).reshape(noise.shape)


@pytest.mark.parametrize("context", ["state_noise", "state"])
@pytest.mark.parametrize("radius", [0.2, 100.0])
def test_the_actor_is_its_definition(context, radius):
    contract = lift()
    parameters = random_actor(contract, radius=radius, context=context, seed=4)
    actor, rng = Actor(parameters, contract.noise_shape), np.random.default_rng(0)
    for _ in range(20):
        state = rng.normal(size=contract.state_size).astype(np.float32)
        noise = rng.normal(size=contract.noise_shape).astype(np.float32)
        expected = reference_delta(parameters, state, noise, radius)
        assert np.abs(actor(state, noise) - expected).max() < 1e-5


def test_the_radius_of_the_robot_bounds_the_radius_of_the_weights():
    contract = lift()
    actor = Actor(random_actor(contract, radius=50.0, scale=20.0), contract.noise_shape, max_radius=0.5)
    delta = actor(np.ones(contract.state_size, np.float32), np.ones(contract.noise_shape, np.float32))
    assert np.linalg.norm(delta.astype(np.float64)) == pytest.approx(0.5, rel=1e-5)


def test_a_second_call_does_not_change_the_first_answer():
    contract = lift()
    actor = Actor(random_actor(contract), contract.noise_shape)
    noise = np.ones(contract.noise_shape, np.float32)
    first = actor(np.zeros(contract.state_size, np.float32), noise)
    kept = first.copy()
    actor(np.ones(contract.state_size, np.float32), -noise)
    assert np.array_equal(first, kept)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-(2.0**50), 2.0**50, width=32), min_size=1, max_size=40),
    radius=st.floats(1e-3, 1e4),
)
def test_the_projection_never_exceeds_the_radius(values, radius):
    delta = np.array(values, np.float32)
    out = project(delta, radius)
    assert math.sqrt(float(np.square(out, dtype=np.float64).sum())) <= radius * (1 + 1e-12) or np.array_equal(
        out, delta
    )
    if np.linalg.norm(delta.astype(np.float64)) <= radius:
        assert out is delta


# -- safety filter and target ------------------------------------------

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(
    row=st.tuples(FINITE, FINITE, FINITE, FINITE, FINITE, FINITE, FINITE),
    start=st.tuples(st.floats(-1, 2), st.floats(-1, 1), st.floats(-0.5, 1.5)),
)
def test_steps_are_short_and_lead_inside(row, start):
    contract, params = lift(turns=True), SteeringParams()
    start = np.array(start)
    step = SafetyFilter(contract, params).step(start, DOWN, np.array(row, np.float32))
    low, high = np.array(contract.workspace.min_m), np.array(contract.workspace.max_m)
    assert np.linalg.norm(step.position - start) <= 0.0125 * (1 + 1e-6)
    assert angle_between(step.orientation, DOWN) <= 0.03 * (1 + 1e-6)
    assert abs(np.linalg.norm(step.orientation) - 1) < 1e-9

    def outside(point):
        return np.linalg.norm(point - np.clip(point, low, high))

    assert outside(step.position) <= max(outside(start), 1e-12)
    assert np.isfinite(step.sent).all() and abs(step.sent[-1]) <= 1


def test_a_row_inside_every_limit_is_sent_as_asked():
    row = np.array([0.6, -0.5, 0.55, 0.25], np.float32)
    step = SafetyFilter(lift(), SteeringParams()).step(START, DOWN, row)
    assert not step.cut and step.sent.tobytes() == row.tobytes()
    assert step.position.tobytes() == (START + 0.0125 * row[:3].astype(np.float64)).tobytes()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_refused_by_name(bad):
    with pytest.raises(UnsafeActionError, match=r"action\[2\]"):
        SafetyFilter(lift(), SteeringParams()).step(START, DOWN, np.array([0, 0, bad, 0], np.float32))


def test_deltas_add_up_on_the_command_not_on_the_measured_pose():
    target = Target(lift(), SteeringParams())
    target.seed(START, DOWN)
    for _ in range(3):
        target.advance(np.array([1, 0, 0, 0], np.float32), START, DOWN, READY)
    assert np.allclose(target.sub_targets(0)[-1].position, START + [0.0375, 0, 0])


def test_a_target_too_far_ahead_starts_again_from_the_measured_pose():
    target = Target(lift(), SteeringParams())
    target.seed(START, DOWN)
    for tick in range(20):  # the arm is blocked; pressed against, it gives way a little
        target.advance(np.array([1, 0, 0, 0], np.float32), START, DOWN, READY + 0.003 * tick)
        assert np.linalg.norm(target.sub_targets(0)[-1].position - START) <= 0.05 + 0.0125 + 1e-9


def test_without_rotation_the_orientation_of_the_start_stays():
    target = Target(lift(), SteeringParams())
    target.seed(START, DOWN)
    tilted = from_rotation_vector(np.array([3.0, 0.4, 0.0]))
    target.advance(np.array([1, 0, 0, 0], np.float32), START, tilted, READY)
    target.seed(START, tilted)
    target.advance(np.array([1, 0, 0, 0], np.float32), START, tilted, READY)
    assert all(np.array_equal(t.orientation, DOWN) for t in target.sub_targets(0))


def test_with_rotation_the_target_turns_and_re_anchors():
    target = Target(lift(turns=True), SteeringParams())
    target.seed(START, DOWN)
    row = np.array([0, 0, 0, 0, 0, 1, 0], np.float32)
    target.advance(row, START, DOWN, READY)
    assert angle_between(target.sub_targets(0)[-1].orientation, DOWN) == pytest.approx(0.03)
    for tick in range(30):
        target.advance(row, START, DOWN, READY + 0.003 * tick)
        assert angle_between(target.sub_targets(0)[-1].orientation, DOWN) <= 0.3 + 0.03 + 1e-9


def test_sub_targets_fill_the_period_evenly_and_end_at_the_command():
    contract = lift()
    target = Target(contract, SteeringParams())
    target.seed(START, DOWN)
    target.advance(np.array([1, 0, 0, 0], np.float32), START, DOWN, READY)
    targets = target.sub_targets(1000)
    assert [t.stamp_ns for t in targets] == [1000 + k * 10 * MS for k in range(5)]
    assert np.allclose([t.position[0] - 0.5 for t in targets], np.arange(1, 6) * 0.0025)


# -- ladder ------------------------------------------


def test_the_first_reason_of_a_stop_is_kept_until_armed():
    ladder = Ladder(3)
    ladder.latch(Mode.STOP, "first")
    ladder.latch(Mode.FAULT, "second")
    assert ladder.latched == (Mode.STOP, "first")
    ladder.release()
    assert ladder.latched is not None
    ladder.arm()
    assert ladder.latched is None and ladder.held == "re-armed"
    assert [ladder.clean() for _ in range(3)] == [False, False, True]


# -- clock ------------------------------------------


class FakeTime:
    def __init__(self, now_ns=1_234_567_891):
        self.now_ns = now_ns
        self.late_ns = 0

    def now(self):
        return self.now_ns

    def sleep(self, seconds):
        assert seconds > 0
        self.now_ns += round(seconds * 1e9) + self.late_ns


def make_clock(phase_ns=0):
    fake = FakeTime()
    return fake, TickClock(50 * MS, phase_ns, now_ns=fake.now, sleep_s=fake.sleep)


@pytest.mark.parametrize("phase_ns", [0, -8 * MS])
def test_deadlines_are_absolute_multiples_of_the_period(phase_ns):
    fake, clock = make_clock(phase_ns)
    deadlines = []
    for _ in range(100):
        deadlines.append(clock.pace())
        fake.now_ns += 7 * MS  # computing does not shift the next deadline
        clock.done()
    assert {(d - phase_ns) % (50 * MS) for d in deadlines} == {0}
    assert set(np.diff(deadlines)) == {50 * MS}
    assert (clock.missed, clock.ticks) == (0, 100)
    assert clock.compute_s.percentile(50) == pytest.approx(0.007)


def test_an_overrun_skips_whole_periods_without_a_burst():
    fake, clock = make_clock()
    first = clock.pace()
    fake.now_ns += 180 * MS
    second = clock.pace()
    assert second - first == 150 * MS and clock.skipped == 2
    assert clock.missed == 3  # two skipped, and this one is 30 ms late
    assert clock.pace() - second == 50 * MS


def test_a_small_overrun_is_caught_up_and_counted_late():
    fake, clock = make_clock()
    first = clock.pace()
    fake.now_ns += 60 * MS
    assert clock.pace() == first + 50 * MS
    assert clock.missed == 0 and clock.lateness_s.percentile(100) == pytest.approx(0.010)
    fake.now_ns += 80 * MS
    clock.pace()
    assert clock.missed == 1


def test_the_window_is_bounded():
    ring = Ring(10)
    for k in range(1000):
        ring.add(k)
    assert ring.percentile(0) == 990 and ring.count == 1000
    assert Ring(4).percentile(99) == 0.0


def test_the_summary_says_what_was_missed():
    fake, clock = make_clock()
    fake.late_ns = 30 * MS
    for _ in range(4):
        clock.pace()
        clock.done()
    assert clock.summary().startswith("4 ticks, 4 missed deadlines (100.000 %, 0 of them skipped)")


def test_the_sections_of_a_tick_add_up_and_are_in_the_summary():
    fake, clock = make_clock()
    for _ in range(3):
        clock.pace()
        for name, ms in (("wait", 4), ("decide", 2)):
            fake.now_ns += ms * MS
            clock.mark(name)
        clock.spent("decode", 0.001)
        clock.done()
    assert {name: ring.percentile(50) for name, ring in clock.sections.items()} == pytest.approx(
        {"wait": 0.004, "decide": 0.002, "decode": 0.001}
    )
    assert clock.compute_s.percentile(50) == pytest.approx(0.006)
    shown = "; ".join(f"{name} p50 {ms}.00 ms p99 {ms}.00 ms" for name, ms in (("wait", 4), ("decide", 2), ("decode", 1)))
    assert clock.summary().endswith(shown)
