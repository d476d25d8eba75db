"""One run: a method learns on a task until the budget of environment steps is spent; then it is judged.

Environment steps count from the first one of the warm-up. An interrupted run goes on from its checkpoint: learner, replay,
counters and curve are kept; episodes under way are begun anew, their steps stay counted.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lpds_ros.bench import results
from lpds_ros.bench.evaluate import Episodes, Probe, point
from lpds_ros.bench.keeping import Keeper
from lpds_ros.bench.methods import Method, configure, make_method
from lpds_ros.bench.priors import Prior
from lpds_ros.bench.task import BenchError, Task
from lpds_ros.bench.worlds import run_chunk
from lpds_ros.durable import replaced_folder, surviving
from lpds_ros.learning.checkpoint import load_checkpoint, save_checkpoint

SMOOTHING = 0.01  # of the reported metrics, per update
TRAINING_SEEDS, SEED_STRIDE = 10_000_000, 1_000_000


@dataclass
class State:
    """What a run has done so far; with the learner and its replay, all that a checkpoint holds."""

    steps: int = 0
    decisions: int = 0
    episodes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    resumed: int = 0
    curve: list[dict] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What is run: method as `parse_method` reads it; budget in environment steps; points on the curve beside the start's."""

    task: Task
    method: str
    seed: int
    budget: int

    def describe(self, prior: Prior) -> dict:
        """Everything that decides the outcome, as plain JSON."""
        config = configure(self.method, self.task)
        return results.plain(
            {
                "budget": self.budget,
                "envs": self.task.envs,
                "limit": self.task.limit,
                "reward_scale": self.task.reward_scale,
                "final_episodes": self.task.final_episodes,
                "prior": prior.digest,
                "problem": self.task.problem.digest,
                "learner": dataclasses.asdict(config) if config is not None else None,
            }
        )


class Run:
    """Runs `plan` in `folder` (its checkpoint). on_point: called with every new point of the learning curve."""

    def __init__(
        self,
        plan: Plan,
        prior: Prior,
        probe: Probe,
        folder: Path,
        *,
        on_point: Callable[[dict], None] = lambda point: None,
        on_steps: Callable[[int], None] = lambda steps: None,
        checkpoint_s: float = 120.0,
    ):
        self.plan, self.task, self._prior, self._probe, self._folder = plan, plan.task, prior, probe, folder
        self._on_point, self._on_steps, self._checkpoint_s = on_point, on_steps, checkpoint_s
        config = configure(plan.method, plan.task)
        self.method: Method = make_method(plan.method, prior, config, plan.seed)
        self.state = State()
        self.final: Episodes | None = None  # of the last version
        self._keeper = Keeper(self.method.learner) if self.method.learner is not None else None
        self._earned = np.zeros((2, plan.task.envs))  # success and return so far of the episodes under way
        self._saved_s = time.monotonic()
        self._restore()

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> dict | None:
        """The result row; None when `should_stop` said yes: then a checkpoint holds what was done."""
        started, cpu = time.monotonic() - self.state.wall_s, time.process_time() - self.state.cpu_s
        if self.method.learner is not None and not self._learn(should_stop, started, cpu):
            self._save(started, cpu)
            return None
        record = self.task.draw is not None
        summary, self.final = point(self.task, self.method, self._probe, self.task.final_episodes, record=record)
        self._clock(started, cpu)
        row = self._row(summary) | self._kept()
        shutil.rmtree(self._folder, ignore_errors=True)
        return row

    def _learn(self, should_stop, started: float, cpu: float) -> bool:
        """Step the environments and make the updates owed until the budget is spent; False when stopped before."""
        task, state, learner = self.task, self.state, self.method.learner
        marks = [round(self.plan.budget * i / task.curve_points) for i in range(task.curve_points)]
        # Exploration noise depends on the method's seed and on where the run stands, so that resuming repeats none of it.
        rng = np.random.default_rng([self.plan.seed, state.decisions])
        worlds = task.worlds(task.envs)
        try:
            for i in range(worlds.count):
                self._reset(worlds, i)
            while state.steps < self.plan.budget:
                if len(state.curve) < len(marks) and state.steps >= marks[len(state.curve)]:
                    self._add_point(started, cpu)
                self._decide(worlds, rng)
                while learner.owed and not should_stop():
                    self._smooth(learner.update())
                self._on_steps(state.steps)
                if should_stop():
                    return False
                if time.monotonic() - self._saved_s > self._checkpoint_s:
                    self._save(started, cpu)
        finally:
            worlds.close()
        return True

    def _decide(self, worlds, rng):
        task, state = self.task, self.state
        observed = worlds.observe()
        noise = rng.standard_normal((worlds.count, *task.problem.noise_shape), np.float32)
        choice = self.method.explore(observed, noise)
        outcome = run_chunk(worlds, choice.chunk[:, : task.problem.horizons.executed])
        reward = (task.reward_scale * outcome.reward).astype(np.float32)
        self.method.keep(observed, choice, reward, outcome.terminated, outcome.truncated, worlds.observe())
        state.steps += int(outcome.steps.sum())
        state.decisions += worlds.count
        self._earned += outcome.success, outcome.reward
        over = np.flatnonzero(outcome.ended)
        self._keeper.ended(self._earned[int(task.measure == "return"), over], state.steps)
        for i in over:
            self._reset(worlds, i)

    def _reset(self, worlds, index: int):
        worlds.reset(index, TRAINING_SEEDS + SEED_STRIDE * self.plan.seed + self.state.episodes)
        self.state.episodes += 1
        self._earned[:, index] = 0.0

    def _smooth(self, metrics: dict[str, float]):
        old = self.state.metrics
        self.state.metrics |= {k: old[k] + SMOOTHING * (v - old[k]) if k in old else v for k, v in metrics.items()}

    def _add_point(self, started: float, cpu: float):
        summary, _ = point(self.task, self.method, self._probe, self.task.curve_episodes)
        self._clock(started, cpu)
        state, learner = self.state, self.method.learner
        found = {"steps": state.steps, "decisions": state.decisions, "updates": learner.updates, "wall_s": state.wall_s}
        found |= {"alpha": learner.alpha, "metrics": dict(state.metrics)} | summary
        state.curve.append(results.plain(found))
        self._on_point(state.curve[-1])

    def _clock(self, started: float, cpu: float):
        self.state.wall_s, self.state.cpu_s = time.monotonic() - started, time.process_time() - cpu

    def _kept(self) -> dict:
        """The best version by its training episodes, judged as the last one is; nothing for the prior."""
        if self._keeper is None:
            return {}
        with self._keeper.restored():
            summary, found = point(self.task, self.method, self._probe, self.task.final_episodes)
        return {"kept": results.plain(summary | {"steps": self._keeper.steps, "episodes": found.listed()})}

    def _row(self, summary: dict) -> dict:
        plan, state, learner = self.plan, self.state, self.method.learner
        last = {"steps": state.steps, "decisions": state.decisions, "updates": learner.updates if learner else 0}
        last |= {"wall_s": state.wall_s, "alpha": learner.alpha if learner else None, "metrics": state.metrics}
        return results.plain(
            {
                "schema": results.SCHEMA,
                "suite": self.task.suite,
                "task": self.task.name,
                "method": plan.method,
                "seed": plan.seed,
                "measure": self.task.measure,
                "reference": self.task.reference,
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "setting": plan.describe(self._prior),
                "prior_config": dataclasses.asdict(self._prior.config),
                "environment_steps": state.steps,
                "decisions": state.decisions,
                "training_episodes": state.episodes,
                "updates": last["updates"],
                "wall_s": state.wall_s,
                "cpu_s": state.cpu_s,
                "resumed": state.resumed,
                "final": summary,
                "mode_names": list(self.task.modes),
                "episodes": self.final.listed(),
                "curve": [*state.curve, last | summary],
            }
            | results.provenance()
        )

    # Checkpoint

    def _save(self, started: float, cpu: float):
        """Write learner, replay and state so that at any moment either the old or the new checkpoint is whole."""
        self._clock(started, cpu)
        setting = self.plan.describe(self._prior)
        with replaced_folder(self._folder) as fresh:
            save_checkpoint(self.method.learner, fresh / "learner")
            np.savez(fresh / "replay.npz", **self.method.learner.replay.arrays())
            saved = {"state": dataclasses.asdict(self.state), "setting": setting, "kept": self._keeper.save(fresh)}
            (fresh / "run.json").write_text(json.dumps(saved))
        self._saved_s = time.monotonic()

    def _restore(self):
        folder = surviving(self._folder)
        if self.method.learner is None or not (folder / "run.json").exists():
            return
        saved = json.loads((folder / "run.json").read_text())
        differing = results.differences(saved["setting"], self.plan.describe(self._prior))
        if differing:
            raise BenchError(
                f"{folder}: was begun with other settings ({', '.join(differing)}); remove the folder to begin anew"
            )
        load_checkpoint(self.method.learner, folder / "learner")
        with np.load(folder / "replay.npz", allow_pickle=False) as arrays:
            self.method.learner.replay.restore(arrays)
        self.state = State(**saved["state"])
        self._keeper.restore(folder, saved["kept"])
        self.state.resumed += 1
