"""The best version of a run, by its own training episodes alone: what one deploys when learning swings.

The rule is the same for every method, and no evaluation is looked at: of windows of consecutive training episodes, the one that
went best; kept is the policy at its end. The prior's episodes of the warm-up are the first windows.
"""

import contextlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

FILE = "kept.safetensors"
WINDOW = 40  # episodes: a success rate of .5 is known to .08


class Keeper:
    """learner: its POLICY names the modules that choose actions. score: mean of the best window, −inf before the first."""

    def __init__(self, learner, window: int = WINDOW):
        self._learner, self._window = learner, window
        self.recent: list[float] = []
        self.score, self.steps = -np.inf, 0
        self._kept = self._policy()

    def ended(self, scores: np.ndarray, steps: int):
        """Account for training episodes that ended, at `steps` environment steps."""
        for score in scores:
            self.recent.append(float(score))
            if len(self.recent) < self._window:
                continue
            mean, self.recent = float(np.mean(self.recent)), []
            if mean >= self.score:  # ties go to the newer
                self.score, self.steps, self._kept = mean, steps, self._policy()

    @contextlib.contextmanager
    def restored(self):
        """The best version in place of the last one, within the block."""
        last = self._policy()
        self._load(self._kept)
        try:
            yield
        finally:
            self._load(last)

    def save(self, folder: Path) -> dict:
        """Write the kept weights into `folder`; what else there is, as plain numbers."""
        save_file(self._kept, folder / FILE)
        return {"recent": self.recent, "score": self.score if np.isfinite(self.score) else None, "steps": self.steps}

    def restore(self, folder: Path, saved: dict):
        """What `save` wrote and returned."""
        self._kept = load_file(folder / FILE)
        self.recent, self.steps = saved["recent"], saved["steps"]
        self.score = -np.inf if saved["score"] is None else saved["score"]

    def _policy(self) -> dict[str, torch.Tensor]:
        modules = {name: getattr(self._learner, name) for name in self._learner.POLICY}
        return {f"{n}.{k}": v.detach().clone() for n, m in modules.items() for k, v in m.state_dict().items()}

    def _load(self, tensors: dict[str, torch.Tensor]):
        for name in self._learner.POLICY:
            own = {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}
            getattr(self._learner, name).load_state_dict(own)
