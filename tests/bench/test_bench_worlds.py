"""Time counted as it passes: chunks end with their episode, in every kind of world."""

import types

import numpy as np

from lpds_ros.bench.suites import avoiding, toy
from lpds_ros.bench.worlds import GymWorlds, Step, run_chunk


class Clock:
    """World i ends after lengths[i] steps; each step pays 1."""

    def __init__(self, lengths, truncates=False):
        self.count, self.age, self.lengths, self.truncates = len(lengths), np.zeros(len(lengths), int), lengths, truncates
        self.calls = 0

    def step(self, actions, live):
        self.calls += 1
        self.age += live
        over = self.age >= self.lengths
        no = np.zeros(self.count, bool)
        return Step(np.ones(self.count), no if self.truncates else over, over, over, np.arange(self.count))


def test_a_chunk_ends_with_its_episode():
    worlds = Clock(np.array([2, 9, 1]))
    outcome = run_chunk(worlds, np.zeros((3, 4, 1)))
    assert outcome.steps.tolist() == [2, 4, 1]
    assert outcome.reward.tolist() == [2.0, 4.0, 1.0]
    assert outcome.terminated.tolist() == [True, False, True] and not outcome.truncated.any()
    assert worlds.age.tolist() == [2, 4, 1]


def test_a_time_out_truncates_and_does_not_terminate():
    outcome = run_chunk(Clock(np.array([3]), truncates=True), np.zeros((1, 4, 1)))
    assert outcome.truncated.all() and not outcome.terminated.any() and outcome.steps.tolist() == [3]


def test_worlds_that_are_not_live_stand_still():
    worlds = Clock(np.array([9, 9]))
    outcome = run_chunk(worlds, np.zeros((2, 4, 1)), np.array([False, True]))
    assert worlds.age.tolist() == [0, 4] and outcome.steps.tolist() == [0, 4] and outcome.reward.tolist() == [0.0, 4.0]


def test_no_step_is_made_once_all_have_ended():
    worlds = Clock(np.array([1, 1]))
    run_chunk(worlds, np.zeros((2, 4, 1)))
    assert worlds.calls == 1


class Env:
    """What GymWorlds needs of a Gymnasium environment; solved when the action's sum passes 3."""

    action_space = types.SimpleNamespace(low=np.array([0.0, -2.0]), high=np.array([4.0, 2.0]))
    observation_space = types.SimpleNamespace(shape=(2,))

    def reset(self, seed):
        self.seed, self.seen = seed, []
        return np.array([seed, 0.0]), {}

    def step(self, action):
        self.seen.append(action)
        return action, 1.5, False, len(self.seen) == 3, {"success": action.sum() > 3}

    def close(self):
        pass


def test_gymnasium_worlds_stretch_actions_and_end_on_success():
    worlds = GymWorlds(Env, 2, lambda info, reward: info["success"])
    for i in range(2):
        worlds.reset(i, 40 + i)
    assert worlds.observe().tolist() == [[40.0, 0.0], [41.0, 0.0]]
    actions = np.array([[[-1.0, 0.0]] * 4, [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]])
    outcome = run_chunk(worlds, actions)
    assert outcome.success.tolist() == [False, True] and outcome.terminated.tolist() == [False, True]
    assert outcome.steps.tolist() == [3, 2] and outcome.truncated.tolist() == [True, False]
    assert worlds.observe().tolist() == [[0.0, 0.0], [4.0, 2.0]]


def test_equal_seeds_start_equal_episodes():
    for kind in (toy.FourGoals, avoiding.Avoiding):
        worlds = kind(2)
        worlds.reset(0, 5)
        worlds.reset(1, 5)
        assert np.array_equal(*worlds.observe())
        worlds.reset(1, 6)
        assert not np.array_equal(*worlds.observe())


def drive(worlds, points):
    """Success, mode and steps of world 0 driven through points."""
    steps = 0
    for target in np.array(points, float):
        while np.linalg.norm(target - worlds.position[0]) > 1e-6:
            speed = worlds._speed
            action = np.clip((target - worlds.position) / speed, -1, 1).astype(np.float32)
            outcome = run_chunk(worlds, action[:, None])
            steps += 1
            if outcome.ended[0]:
                return outcome.success[0], outcome.mode[0], outcome.terminated[0], steps
    return None


def test_the_toy_knows_its_goals_and_pays_the_first_best():
    worlds = toy.FourGoals(1)
    for i, goal in enumerate(toy.GOALS):
        worlds.reset(0, 0)
        success, mode, terminated, steps = drive(worlds, [goal])
        assert success and terminated and mode == i and steps >= 8
    assert toy.PAYS[0] > toy.PAYS[1:].max()


def test_the_course_knows_its_ways_and_its_obstacles():
    worlds = avoiding.Avoiding(1)
    worlds.reset(0, 0)
    success, mode, *_ = drive(worlds, [(-0.3, 0.5), (0.0, 0.9), (0.3, 1.3), (0.3, 1.8)])
    assert success and avoiding.NAMES[mode] == "012"
    worlds.reset(0, 0)
    success, mode, terminated, _ = drive(worlds, [(0.0, 1.0)])
    assert not success and terminated and mode == -1 and worlds.position[0, 1] < avoiding.ROWS[0]
    worlds.reset(0, 0)
    success, _, terminated, _ = drive(worlds, [(1.2, 0.2)])
    assert terminated and not success


def test_demonstrations_are_imperfect_and_of_every_kind():
    demos = avoiding.demonstrations()
    share = np.mean([demo.success for demo in demos])
    assert 0.5 < share < 0.9
    demos = toy.demonstrations()
    ends = np.array([demo.final_observation for demo in demos if demo.success])
    reached = np.linalg.norm(ends[:, None] - toy.PAST * toy.GOALS[None], axis=2).argmin(1)
    assert np.bincount(reached).min() > 30 and 0.6 < np.mean([demo.success for demo in demos]) < 0.9
