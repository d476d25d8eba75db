"""An obstacle course with many equally good ways: one obstacle, then two, then three, then the finish line.

In the spirit of the Avoiding task of D3IL (Jia et al. 2024, arXiv 2402.14606), as a kinematic point of our own. A touched
obstacle or side wall ends the episode. The way taken is the sequence of gaps: 2 · 3 · 4 = 24, of which 8 are natural.
"""

from pathlib import Path

import numpy as np

from lpds_ros.bench.suites.plane import Plane, follow
from lpds_ros.bench.task import Task
from lpds_ros.contract import Horizons
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

ROWS = (0.5, 0.9, 1.3)  # y of the rows of obstacles
OBSTACLES = ((0.0,), (-0.3, 0.3), (-0.6, 0.0, 0.6))  # their x, row by row
GAPS = ((-0.3, 0.3), (-0.6, 0.0, 0.6), (-0.82, -0.3, 0.3, 0.82))  # where one passes them
RADIUS, WALL, FINISH = 0.12, 1.0, 1.7
SPEED, LIMIT = 0.06, 60
DEMOS = 240
CENTRES = np.array([(x, y) for y, row in zip(ROWS, OBSTACLES) for x in row])
NAMES = tuple(f"{a}{b}{c}" for a in range(2) for b in range(3) for c in range(4))
PROBLEM = Problem("avoiding", observation_size=2, action_size=2, horizons=Horizons(1, 4, 4))


class Avoiding(Plane):
    """The observation is the point's position, an action its velocity; reward 1 at the finish line."""

    def __init__(self, count: int):
        super().__init__(count, speed=SPEED, limit=LIMIT)
        self._gaps = np.zeros((count, len(ROWS)), int)

    def start(self, rng: np.random.Generator) -> np.ndarray:
        return np.array([rng.normal(0.0, 0.03), 0.0])

    def reset(self, index: int, seed: int):
        super().reset(index, seed)
        self._gaps[index] = 0

    def judge(self, before: np.ndarray, after: np.ndarray):
        for row, (y, xs) in enumerate(zip(ROWS, OBSTACLES)):
            crossing = (before[:, 1] < y) & (after[:, 1] >= y)
            self._gaps[crossing, row] = np.searchsorted(xs, after[crossing, 0])
        finished = after[:, 1] >= FINISH
        hit = touches(before, after) & ~finished
        ways = self._gaps @ np.array([12, 4, 1])
        return finished.astype(float), finished | hit, finished, np.where(finished, ways, -1)


def touches(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """bool [N]: whether the step between positions [N, 2] meets an obstacle or a side wall."""
    along = after - before
    length = np.maximum((along**2).sum(1), 1e-12)
    to = CENTRES[None] - before[:, None]
    share = np.clip((to * along[:, None]).sum(2) / length[:, None], 0.0, 1.0)
    nearest = np.linalg.norm(to - share[..., None] * along[:, None], axis=2).min(1)
    return (nearest < RADIUS) | (np.abs(after[:, 0]) > WALL)


def demonstrations(_: Path | None = None, seed: int = 0) -> list[Demonstration]:
    """Smooth drives along the eight natural ways, equally often; most are careless, and about one in five touches something."""
    rng, demos = np.random.default_rng(seed), []
    for i in range(DEMOS):
        gaps = [i % 2]
        for bit in (i // 2 % 2, i // 4 % 2):
            gaps.append(gaps[-1] + bit)
        start = np.array([rng.normal(0.0, 0.03), 0.0])
        careless = 0.12 if rng.random() < 0.6 else 0.03
        marks = [(GAPS[row][gap] + rng.normal(0.0, careless), ROWS[row]) for row, gap in enumerate(gaps)]
        marks += [(marks[-1][0] + rng.normal(0.0, 0.05), FINISH + 0.15)]
        points = smooth(np.array([start, *marks]), SPEED * rng.uniform(0.55, 0.9))
        demos.append(cut(follow(rng, start, points, step=SPEED, success=True)))
    return demos


def smooth(corners: np.ndarray, spacing: float) -> np.ndarray:
    """Points [T, 2] at even `spacing` along a rounded polyline through `corners`."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    marks = np.arange(0.0, lengths[-1], 0.005)
    line = np.stack([np.interp(marks, lengths, corners[:, i]) for i in range(2)], axis=1)
    kernel = np.hanning(43)[1:-1]
    padded = np.pad(line, ((20, 20), (0, 0)), mode="edge")
    rounded = np.stack([np.convolve(padded[:, i], kernel / kernel.sum(), "valid") for i in range(2)], axis=1)
    step = max(1, round(spacing / 0.005))
    return np.concatenate([rounded[step::step], line[-1:]])


def cut(demo: Demonstration) -> Demonstration:
    """The demonstration up to its first collision, which makes it a failed one."""
    path = np.concatenate([demo.observations, demo.final_observation[None]]).astype(float)
    hits = np.flatnonzero(touches(path[:-1], path[1:]) & (path[1:, 1] < FINISH))
    if not len(hits):
        return demo
    end = hits[0] + 1
    rewards = np.zeros(end)
    return Demonstration(demo.observations[:end], demo.actions[:end], rewards, False, final_observation=path[end])


def draw(axes, paths, modes):
    """Paths of episodes over the course; grey where they ended early."""
    from matplotlib.patches import Circle

    for x, y in CENTRES:
        axes.add_patch(Circle((x, y), RADIUS, color="#c0392b", alpha=0.35, linewidth=0))
    for path, mode in zip(paths, modes):
        axes.plot(*np.asarray(path).T, color="#1f6fb4" if mode >= 0 else "#b0b0b0", linewidth=0.6, alpha=0.5)
    axes.axhline(FINISH, color="#2e8b57", linewidth=1.2)
    axes.set(xlim=(-WALL, WALL), ylim=(-0.1, FINISH + 0.15), aspect="equal", xticks=[], yticks=[])


def tasks() -> tuple[Task, ...]:
    return (
        Task(
            suite="avoiding",
            name="avoiding",
            problem=PROBLEM,
            worlds=Avoiding,
            demonstrations=demonstrations,
            prior=PriorConfig(width=128, blocks=3, updates=5000, checkpoint_every=1000),
            budget=60_000,
            limit=LIMIT,
            modes=NAMES,
            learner={
                "gamma": 0.95,
                "critic_width": 128,
                "actor_width": 128,
                "warmup_decisions": 1500,
                "critic_warmup_updates": 500,
                "updates_per_decision": 0.5,
                "tau": 0.01,
            },
            envs=16,
            curve_points=6,
            curve_episodes=200,
            final_episodes=400,
            draw=draw,
        ),
    )
