"""The learner at work, without ROS: intake, gaps, refusals, versions that only rise, checkpoints, the best version."""

import dataclasses

import numpy as np
import pytest
from waiting import wait_for

from lpds_ros.faults.samples import decision
from lpds_ros.learning.checkpoint import load_checkpoint
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.standing import Standing
from lpds_ros.learning.store import ActorStore
from lpds_ros.learning.worker import Worker
from lpds_ros.records import Decision, Episode, Source
from lpds_ros.weights import pack_weights, prior_parameters, unpack_weights

CONFIG = LearnerConfig(
    critic_width=16,
    actor_width=16,
    batch_size=16,
    warmup_decisions=8,
    critic_warmup_updates=0,
    updates_per_decision=2.0,
    push_every=5,
)


def make_decision(bundle, number, **changes) -> Decision:
    return decision(bundle.contract, number, **{"prior_digest": bundle.digest} | changes)


def make_episode(number=0, decisions=4, success=True, version=1, session="s") -> Episode:
    return Episode(session, number, number, 0, success, 1.0, 30, decisions, "success", version)


def make_learner(bundle, seed=0, config=CONFIG) -> Learner:
    def decode(state, noise):
        return np.tanh(noise)

    return Learner(
        bundle.contract, decode, prior_digest=bundle.digest, state_shift=bundle.state_shift,
        state_scale=bundle.state_scale, config=config, seed=seed,
    )  # fmt: skip


class Harness:
    """A worker with everything it says kept."""

    def __init__(self, bundle, folder, *, log_records=(), learner=None, **options):
        self.weights, self.progress, self.said, self.log_records = [], [], [], list(log_records)
        self.learner = learner or make_learner(bundle)
        self.worker = Worker(
            self.learner,
            folder,
            on_weights=lambda parameters, blob: self.weights.append((parameters, blob)),
            on_progress=self.progress.append,
            read_back=lambda: iter(self.log_records),
            log=lambda level, text: self.said.append((level, text)),
            **options,
        )

    def __enter__(self):
        self.worker.start()
        return self

    def __exit__(self, *_):
        self.worker.stop()

    def until(self, condition):
        def reached():
            assert self.worker.error is None, self.worker.error
            return condition()

        wait_for(reached)


def test_it_does_the_updates_it_owes_then_waits(tiny_bundle, tmp_path):
    with Harness(tiny_bundle, tmp_path) as it:
        for i in range(7):
            it.worker.offer(make_decision(tiny_bundle, i))
        it.until(lambda: it.learner.replay.total == 7)
        assert it.worker.progress().state == "warmup" and not it.weights
        for i in range(7, 20):
            it.worker.offer(make_decision(tiny_bundle, i))
        it.until(lambda: it.learner.updates == 24)
        it.until(lambda: it.worker.progress().state == "idle")
        it.until(lambda: it.progress[-1].backlog == 0)
        assert [p.version for p, _ in it.weights] == [1, 2, 3, 4]
        parameters, blob = it.weights[-1]
        assert unpack_weights(blob, contract=tiny_bundle.contract, prior_digest=tiny_bundle.digest).version == 4
        assert (tmp_path / "actor" / "v000004.safetensors").read_bytes() == blob
        assert (tmp_path / "actor" / "latest.safetensors").read_bytes() == blob


def test_nothing_is_pushed_while_only_the_critics_learn(tiny_bundle, tmp_path):
    config = dataclasses.replace(CONFIG, critic_warmup_updates=12)
    with Harness(tiny_bundle, tmp_path, learner=make_learner(tiny_bundle, config=config)) as it:
        for i in range(8):
            it.worker.offer(make_decision(tiny_bundle, i))
        it.until(lambda: it.learner.updates == 12)
        assert not it.weights
        for i in range(8, 11):
            it.worker.offer(make_decision(tiny_bundle, i))
        it.until(lambda: it.weights)
        assert it.weights[0][0].updates == 17 and np.any(it.weights[0][0].layers[-1][0])


def test_a_restarted_learner_goes_on_from_checkpoint_and_log_with_rising_versions(tiny_bundle, tmp_path):
    decisions = [make_decision(tiny_bundle, i) for i in range(20)]
    with Harness(tiny_bundle, tmp_path) as first:
        for decision in decisions:
            first.worker.offer(decision)
        first.until(lambda: first.learner.updates == 24)
    (tmp_path / "actor" / "v000009.safetensors").write_bytes(b"pushed after the checkpoint")
    again = Harness(tiny_bundle, tmp_path, learner=make_learner(tiny_bundle, seed=5))
    assert load_checkpoint(again.learner, tmp_path / "checkpoint")
    for decision in decisions:
        again.worker.offer(decision)
    with again:
        again.until(lambda: again.weights)
        again.until(lambda: again.learner.replay.total == 20)
        assert again.weights[0][0].version == 10
        assert again.learner.updates == 24


def test_missing_decisions_are_fetched_from_the_log(tiny_bundle, tmp_path):
    decisions = [make_decision(tiny_bundle, i, index=i) for i in range(4)]
    with Harness(tiny_bundle, tmp_path, log_records=decisions) as it:
        for decision in decisions[:2]:
            it.worker.offer(decision)
        it.worker.offer(make_episode(decisions=4))
        it.until(lambda: it.learner.replay.total == 4)
        assert not it.said


@pytest.mark.parametrize("field", ["contract_digest", "prior_digest"])
def test_another_contract_or_prior_is_refused_with_both_values(tiny_bundle, tmp_path, field):
    with Harness(tiny_bundle, tmp_path) as it:
        it.worker.offer(make_decision(tiny_bundle, 0, **{field: "f" * 64}))
        it.until(lambda: it.worker.progress().state == "refused")
        reason = it.worker.progress().reason
        own = tiny_bundle.digest if field == "prior_digest" else tiny_bundle.contract.digest
        assert "f" * 12 in reason and own[:12] in reason
        assert it.learner.replay.total == 0


def test_an_operators_decision_without_a_prior_is_learned_from(tiny_bundle, tmp_path):
    empty = np.zeros((0, tiny_bundle.contract.action.size), np.float32)
    takeover = make_decision(
        tiny_bundle, 0, source=Source.OPERATOR, prior_digest="", noise=empty, delta=empty, chunk=empty
    )
    with Harness(tiny_bundle, tmp_path) as it:
        it.worker.offer(takeover)
        it.until(lambda: it.learner.replay.total == 1)


def test_a_decision_that_is_not_finite_is_left_out_and_named(tiny_bundle, tmp_path):
    bad = dataclasses.replace(
        make_decision(tiny_bundle, 3), observation=np.full(tiny_bundle.contract.state_size, np.nan, np.float32)
    )
    with Harness(tiny_bundle, tmp_path) as it:
        it.worker.offer(bad)
        it.until(lambda: it.said)
        assert "not finite" in it.said[0][1] and it.learner.replay.total == 0


def test_what_breaks_the_thread_reaches_the_owner(tiny_bundle, tmp_path):
    it = Harness(tiny_bundle, tmp_path)
    it.learner.update = lambda: 1 / 0
    it.worker.start()
    for i in range(10):
        it.worker.offer(make_decision(tiny_bundle, i))
    wait_for(lambda: it.worker.error is not None, "the failure")
    assert isinstance(it.worker.error, ZeroDivisionError)
    it.worker.stop()


def test_the_best_version_is_kept_and_old_ones_go(tmp_path):
    store = ActorStore(tmp_path, keep=3)
    for version in range(1, 6):
        store.write(version, bytes([version]))
    assert [p.name for p in sorted(tmp_path.glob("v*"))] == [
        "v000003.safetensors",
        "v000004.safetensors",
        "v000005.safetensors",
    ]
    assert store.newest_version() == 5
    assert store.keep_best(3) and not store.keep_best(2), "2 is gone"
    for version in (6, 7, 8):
        store.write(version, bytes([version]))
    assert store.path(3).exists() and not store.path(5).exists()
    assert (tmp_path / "best.safetensors").read_bytes() == bytes([3])


def test_a_store_that_is_opened_again_still_keeps_the_best_version(tiny_bundle, tmp_path):
    contract = tiny_bundle.contract
    blobs = {v: pack_weights(dataclasses.replace(prior_parameters(contract, tiny_bundle.digest), version=v)) for v in range(1, 6)}
    store = ActorStore(tmp_path, keep=2)
    store.write(1, blobs[1])
    store.keep_best(1)
    again = ActorStore(tmp_path, keep=2)
    for version in (2, 3, 4, 5):
        again.write(version, blobs[version])
    assert again.path(1).exists() and not again.path(3).exists(), "the robot may yet go back to it"


def learned(it, bundle, versions):
    """Offer decisions until so many versions were pushed."""
    for number in range(it.learner.replay.total, 200):
        if len(it.weights) >= versions:
            return
        it.worker.offer(make_decision(bundle, number))
        it.until(lambda: it.learner.replay.total > number and not it.learner.owed)  # noqa: B023 (called at once)
    raise AssertionError("too few versions")


def test_after_a_rollback_it_goes_on_from_the_kept_version_and_says_so(tiny_bundle, tmp_path):
    with Harness(tiny_bundle, tmp_path) as it:
        learned(it, tiny_bundle, 4)
        kept = it.weights[1][0]
        newest = it.weights[-1][0].version
        standing = Standing(kept.version, kept.fingerprint, newest, "robot/1")
        it.worker.offer(standing)
        it.until(lambda: len(it.weights) > 4)
        answer = it.weights[-1][0]
        assert answer.version == newest + 1 and answer.fingerprint == kept.fingerprint
        assert it.learner.lineage == "robot/1"
        away = sorted(p.name for p in (tmp_path / "actor" / "quarantined").iterdir())
        assert away == [f"v{v:06d}.safetensors" for v in range(kept.version + 1, newest + 1)]
        best = unpack_weights(
            (tmp_path / "actor" / "best.safetensors").read_bytes(),
            contract=tiny_bundle.contract, prior_digest=tiny_bundle.digest,
        )  # fmt: skip
        assert best.version == kept.version
        it.worker.offer(standing)  # said again by every status
        learned(it, tiny_bundle, len(it.weights) + 1)
        assert it.weights[-1][0].fingerprint != kept.fingerprint, "it learns on"
    again = make_learner(tiny_bundle)
    assert load_checkpoint(again, tmp_path / "checkpoint") and again.lineage == "robot/1"


def test_a_rollback_to_the_prior_is_the_prior_bit_for_bit(tiny_bundle, tmp_path):
    with Harness(tiny_bundle, tmp_path) as it:
        learned(it, tiny_bundle, 2)
        state = np.zeros((3, tiny_bundle.contract.state_size), np.float32)
        noise = np.ones((3, *tiny_bundle.contract.noise_shape), np.float32)
        assert it.learner.perturb(state, noise).any()
        it.worker.offer(Standing(0, "", it.learner.version, "robot/1"))
        it.until(lambda: len(it.weights) > 2)
        assert not it.learner.perturb(state, noise).any()


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(1, "another checksum", 2, "robot/1"), "holds other weights than the robot runs"),
        (Standing(77, "", 80, "robot/1"), "v000077"),
    ],
)
def test_a_rollback_to_weights_that_are_not_here_is_refused_and_said(tiny_bundle, tmp_path, standing, said):
    with Harness(tiny_bundle, tmp_path) as it:
        learned(it, tiny_bundle, 2)
        before = it.weights[-1][0].version
        it.worker.offer(standing)
        it.until(lambda: it.worker.progress().state == "refused")
        assert said in it.worker.progress().reason and it.learner.version == before and it.learner.lineage == ""


def test_a_rollback_that_it_can_follow_ends_the_refusal_of_one_that_it_could_not(tiny_bundle, tmp_path):
    with Harness(tiny_bundle, tmp_path) as it:
        learned(it, tiny_bundle, 2)
        kept = it.weights[0][0]
        it.worker.offer(Standing(77, "", 80, "robot/1"))
        it.until(lambda: it.worker.progress().state == "refused")
        it.worker.offer(Standing(kept.version, kept.fingerprint, 80, "robot/2"))
        it.until(lambda: it.worker.progress().state != "refused")
        assert it.learner.lineage == "robot/2" and it.worker.progress().reason == ""


def test_weights_of_another_spread_of_the_noise_are_not_gone_on_from(tiny_bundle, tmp_path):
    with Harness(tiny_bundle, tmp_path) as it:
        learned(it, tiny_bundle, 1)
    learner = make_learner(tiny_bundle)
    learner.go_back(it.weights[0][0])
    with pytest.raises(ValueError, match="noise of spread 0.5"):
        learner.go_back(dataclasses.replace(it.weights[0][0], noise_scale=0.5))
