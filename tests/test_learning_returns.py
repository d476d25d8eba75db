"""Returns of several decisions: which decisions a return is made of, where it ends, and what it does for the critics."""

import dataclasses

import numpy as np
import torch

from lpds_ros.contract import Horizons
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.replay import Replay, Transitions
from lpds_ros.problem import Problem
from lpds_ros.records import Decision, Source

PROBLEM = Problem("chain", 2, 1, horizons=Horizons(1, 1, 1))
GAMMA = 0.5
torch.set_num_threads(1)


def decision(index, reward, *, episode=0, source=Source.STEERED, terminated=False, truncated=False) -> Decision:
    row = np.array([[0.1 * index]], np.float32)
    return Decision(
        session="s", decision_id=100 * episode + index, episode=episode, index=index, stamp_ns=index,
        source=source, weights_version=0, observation=np.array([episode, index], np.float32), noise=row, delta=0 * row,
        chunk=row, executed=row, sent=row, rewards=np.array([reward], np.float32), ticks=1,
        tick_observations=np.zeros((0, 2), np.float32), next_observation=np.array([episode, index + 1], np.float32),
        terminated=terminated, truncated=truncated,
    )  # fmt: skip


def returns(replay: Replay, steps: int) -> dict[tuple[int, int], tuple[float, float, int]]:
    """(episode, index) of each stored decision → its return, what its bootstrap counts, the index it bootstraps from."""
    batch = replay.sample(200, np.random.default_rng(0), steps, GAMMA)
    rows = zip(batch.state.tolist(), batch.reward.tolist(), batch.bootstrap.tolist(), batch.next_state.tolist())
    return {
        (int(state[0]), int(state[1])): (reward, bootstrap, int(after[1])) for state, reward, bootstrap, after in rows
    }


def filled(decisions, capacity=100) -> Replay:
    replay = Replay(PROBLEM, capacity)
    for item in decisions:
        assert replay.add(item)
    return replay


def test_a_return_sums_what_follows_and_ends_with_its_episode():
    chain = [decision(i, float(i + 1), terminated=i == 3) for i in range(4)]
    replay = filled([*chain, decision(0, 8.0, episode=1)])
    assert returns(replay, 1)[0, 0] == (1.0, 1.0, 1)
    assert returns(replay, 3) == {
        (0, 0): (1 + 2 * GAMMA + 3 * GAMMA**2, GAMMA**2, 3),
        (0, 1): (2 + 3 * GAMMA + 4 * GAMMA**2, 0.0, 4),  # the success is its last decision
        (0, 2): (3 + 4 * GAMMA, 0.0, 4),
        (0, 3): (4.0, 0.0, 4),
        (1, 0): (8.0, 1.0, 1),  # nothing has followed so far
    }


def test_a_time_out_ends_the_return_and_bootstraps():
    replay = filled([decision(0, 1.0), decision(1, 2.0, truncated=True), decision(0, 4.0, episode=1)])
    assert returns(replay, 5)[0, 0] == (1 + 2 * GAMMA, GAMMA, 2)


def test_a_return_does_not_run_on_into_an_operators_actions_nor_over_a_gap():
    sources = [Source.STEERED, Source.OPERATOR, Source.OPERATOR, Source.PRIOR, Source.STEERED]
    found = returns(filled(decision(i, 1.0, source=source) for i, source in enumerate(sources)), 5)
    assert [found[0, i][2] for i in range(5)] == [1, 2, 5, 5, 5]
    found = returns(filled(decision(i, 1.0) for i in (0, 1, 3, 4)), 5)
    assert [found[0, i][2] for i in (0, 1, 3, 4)] == [2, 2, 5, 5]


def side_by_side(index, ended=(False, False, False)) -> Transitions:
    """One decision in each of three worlds."""
    state = np.stack([np.arange(3), np.full(3, index)], 1).astype(np.float32)
    no, after = np.zeros(3, bool), state + np.array([0, 1], np.float32)
    return Transitions(state, np.zeros((3, 1), np.float32), np.ones(3), np.array(ended), no, after)


def test_worlds_side_by_side_go_on_each_from_its_own_row():
    replay = Replay(PROBLEM, 100)
    for index, ended in ((0, (False,) * 3), (1, (False, True, False)), (2, (False,) * 3)):
        replay.extend(side_by_side(index, ended))
    found = returns(replay, 3)
    assert [found[world, 0][2] for world in range(3)] == [3, 2, 3]
    twin = Replay(PROBLEM, 100)
    twin.restore(replay.arrays())
    assert returns(twin, 3) == found
    twin.extend(side_by_side(3))  # after a restart the episodes are others
    assert returns(twin, 5)[0, 0] == returns(replay, 5)[0, 0]
    replay.extend(side_by_side(3))
    assert returns(replay, 5)[0, 0][2] == 4


def test_what_the_ring_has_dropped_is_followed_no_more():
    replay = filled((decision(i, 1.0) for i in range(10)), capacity=4)
    assert {index: row[2] for (_, index), row in returns(replay, 3).items()} == {6: 9, 7: 10, 8: 10, 9: 10}
    narrow = Replay(PROBLEM, 3)
    for index in range(2):
        narrow.extend(side_by_side(index))
    assert {row[2] for row in returns(narrow, 3).values()} == {2}


def test_the_offset_counts_for_every_decision_of_a_return():
    replay = Replay(PROBLEM, 100, reward_offset=-1.0)
    for i in range(3):
        replay.add(decision(i, 0.0))
    assert returns(replay, 3)[0, 0] == (-1 - GAMMA - GAMMA**2, GAMMA**2, 3)


def test_values_reach_the_beginning_of_an_episode_in_fewer_updates():
    """Ten decisions, a reward of 1 at the end: the first is worth γ^9."""

    def first_value(n_step):
        config = LearnerConfig(
            critics=1, critic_width=32, actor_width=16, batch_size=64, gamma=0.95, n_step=n_step, tau=0.05, learning_rate=1e-3,
            warmup_decisions=1, critic_warmup_updates=10_000, distill_states=8, distill_noises=1, distill_fresh=8,
        )  # fmt: skip
        learner = Learner(
            PROBLEM, lambda state, noise: noise, prior_digest="p" * 64, state_shift=np.zeros(2, np.float32),
            state_scale=np.array([1, 10], np.float32), config=config, seed=0,
        )  # fmt: skip
        for episode in range(20):
            for i in range(10):
                last = i == 9
                item = decision(i, float(last), episode=episode, terminated=last)
                learner.add(
                    dataclasses.replace(
                        item, observation=item.observation * [0, 1], next_observation=item.next_observation * [0, 1]
                    )
                )
        for _ in range(200):
            learner.update()
        with torch.no_grad():
            return learner.critic(torch.zeros(1, 3)).mean().item()

    slow, quick = first_value(1), first_value(5)
    assert slow + 0.3 < quick < 0.95**9 + 0.1
