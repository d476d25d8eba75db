"""Behaviour cloning of a decoder: demonstrations in, a resumable checkpoint out.

Each update draws from a generator seeded by (seed, update) alone, so an interrupted run that is resumed ends with the
very weights of one that was not.
"""

import dataclasses
import math
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lpds_ros.contract import Contract, require_same_contract
from lpds_ros.data.demos import digest_demos
from lpds_ros.prior.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.prior.dataset import Normaliser, check_demos, fit_normaliser, split
from lpds_ros.prior.denoisers import make_denoiser
from lpds_ros.prior.given import Given, encode_demos
from lpds_ros.prior.network import Denoiser
from lpds_ros.prior.sampler import Decoder, Objective
from lpds_ros.prior.samples import Samples
from lpds_ros.prior.vision import make_encoders
from lpds_ros.problem import Problem

GOLDEN_PICTURES = 4
HELD_OUT_DRAWS = 8  # noise draws for each held-out chunk, the same at every evaluation


def train(
    demonstrations,
    contract: Contract | Problem,
    out,
    config: PriorConfig | None = None,
    *,
    resume: bool = False,
    progress: bool = False,
    should_stop=lambda: False,
    encoder: Given | None = None,
) -> Path:
    """Train a prior and return the checkpoint directory `out`.

    Of a contract with images the encoders are trained with it, unless a frozen one is given as `encoder`.

    `should_stop` is asked after every update; when it says yes a checkpoint is written and training ends early (resume
    it). `resume` goes on from the checkpoint in `out`, with its config (`config` may be None, or differ in `updates`
    only). Raises PriorError (nothing to learn from, `out` occupied, other demonstrations or config), DemoError,
    ContractError.
    """
    demonstrations, out = list(demonstrations), Path(out)
    check_demos(demonstrations, contract)
    if resume:
        run = _resumed(out, demonstrations, contract, config, encoder)
    else:
        if (out / "checkpoint.json").exists():
            raise PriorError(f"{out} already holds a training run: resume it, or choose another directory")
        config = dataclasses.replace(config or PriorConfig(), encoder="trained" if encoder is None else "given")
        run = _Run(demonstrations, contract, config, out, encoder)
        if encoder is not None:
            encoder.keep(out)
    with _threads(run.config.threads):
        bar = tqdm(
            total=run.config.updates, initial=run.update, disable=not progress, unit="update", dynamic_ncols=True
        )
        with bar:
            while run.update < run.config.updates:
                loss = run.step()
                bar.update(1)
                if run.update % run.config.evaluate_every == 0 or run.update == run.config.updates:
                    run.evaluate(loss)
                    bar.set_postfix(
                        {k: f"{v:.4f}" for k, v in run.history[-1].items() if k != "update" and v is not None}
                    )
                stop = should_stop()
                if stop or run.update % run.config.checkpoint_every == 0:
                    save_checkpoint(out, run.checkpoint())
                if stop:
                    return out
    return save_checkpoint(out, run.checkpoint())


def make_network(contract: Contract | Problem, config: PriorConfig) -> Denoiser:
    """An untrained denoiser of the contract's sizes; its weights are drawn from torch's global generator."""
    network = make_denoiser(contract.noise_shape, contract.state_size, config)
    network.encoders = make_encoders(contract, config)
    return network


def make_decoder(checkpoint: Checkpoint) -> Decoder:
    """The deployable decoder of a checkpoint: the averaged weights, in inference mode."""
    network = make_network(checkpoint.contract, checkpoint.config)
    network.load_state_dict(checkpoint.part("ema"))
    normaliser = Normaliser(**{name: tensor.numpy() for name, tensor in checkpoint.part("normaliser").items()})
    decoder = Decoder(network, normaliser, checkpoint.config, checkpoint.contract.noise_shape)
    return decoder.eval().requires_grad_(False)


class _Run:
    """The state of one training run; `step` is one update."""

    def __init__(self, demonstrations, contract, config, folder: Path, encoder: Given | None):
        self.config, self.contract, self.update, self.history = config, contract, 0, []
        self.demos = {
            "digest": digest_demos(demonstrations),
            "count": len(demonstrations),
            "ticks": sum(map(len, demonstrations)),
        }
        self.golden = golden_pictures(demonstrations, contract)
        if encoder is not None:
            demonstrations = encode_demos(demonstrations, contract, encoder)
            self.demos["encoder"] = encoder.digest
        training, held_out = split(demonstrations, config)
        self.demos["held_out"] = len(held_out)
        self.normaliser = fit_normaliser(training, contract, config)
        seen = (contract, self.normaliser, () if encoder is not None else tuple(contract.images), folder)
        self.training = Samples(training, *seen)
        self.held_out = Samples(held_out, *seen) if held_out else None
        self.objective = Objective(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = make_network(contract, config)
        self.ema = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def step(self) -> float:
        """One update of the weights and of their average. Returns the loss; PriorError when it is not finite."""
        generator = _generator(self.config.seed, self.update)
        rows = torch.randint(len(self.training), (self.config.batch,), generator=generator)
        action = self.training.actions[rows]
        noise = torch.randn(action.shape, generator=generator)
        time = self.objective.sample_times(len(rows), generator)
        state = self.training.state(rows, self.network.encoders, self.config.shift_px, generator)
        loss = self.objective.loss(self.network, state, action, noise, time)
        if not torch.isfinite(loss):
            raise PriorError(f"the loss became {loss.item()} at update {self.update}: lower learning_rate")
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        self.optimiser.step()
        self.update += 1
        decay = min(self.config.ema_decay, (1 + self.update) / (10 + self.update))
        for name, tensor in self.network.state_dict().items():
            self.ema[name].lerp_(tensor, 1.0 - decay)
        return loss.item()

    def _learning_rate(self) -> float:
        warm = min(1.0, (self.update + 1) / self.config.warmup_updates)
        return self.config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * self.update / self.config.updates))

    @torch.no_grad()
    def evaluate(self, train_loss: float):
        """Append to the history the last batch's loss, and the averaged weights' on the held-out demonstrations."""
        held_out = None
        if self.held_out is not None:
            network = make_network(self.contract, self.config)
            network.load_state_dict(self.ema)
            state = self.held_out.all_states(network.encoders).repeat(HELD_OUT_DRAWS, 1)
            action = self.held_out.actions.repeat(HELD_OUT_DRAWS, 1)
            generator = _generator(self.config.seed, -1)
            noise = torch.randn(action.shape, generator=generator)
            time = self.objective.sample_times(len(state), generator)
            held_out = self.objective.loss(network, state, action, noise, time).item()
        self.history.append({"update": self.update, "train_loss": train_loss, "held_out_loss": held_out})

    def checkpoint(self) -> Checkpoint:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.items()}
        for name, parameter in self.network.named_parameters():
            for key, tensor in self.optimiser.state[parameter].items():
                tensors[f"adam.{key}.{name}"] = tensor
        for field in dataclasses.fields(Normaliser):
            tensors[f"normaliser.{field.name}"] = torch.from_numpy(getattr(self.normaliser, field.name))
        tensors |= {f"golden.{stream}": torch.from_numpy(pictures) for stream, pictures in self.golden.items()}
        return Checkpoint(self.config, self.contract, self.update, tensors, self.demos, self.history)

    def restore(self, checkpoint: Checkpoint):
        self.network.load_state_dict(checkpoint.part("network"))
        self.ema = checkpoint.part("ema")
        moments = {key: checkpoint.part(f"adam.{key}") for key in ("step", "exp_avg", "exp_avg_sq")}
        for name, parameter in self.network.named_parameters():
            if name in moments["step"]:
                self.optimiser.state[parameter] = {key: tensors[name] for key, tensors in moments.items()}
        self.update, self.history = checkpoint.update, list(checkpoint.history)


def golden_pictures(demonstrations, contract: Contract | Problem) -> dict[str, np.ndarray]:
    """Some pictures of each stream that its exported encoder will have to reproduce: uint8 [GOLDEN_PICTURES, h, w, 3].

    Raises DemoError when a demonstration has none.
    """
    chosen = [demonstrations[i] for i in np.linspace(0, len(demonstrations) - 1, GOLDEN_PICTURES).astype(int)]
    return {
        stream: np.stack([demo.pictures(stream)[len(demo) * i // GOLDEN_PICTURES] for i, demo in enumerate(chosen)])
        for stream in contract.images
    }


def _resumed(out, demonstrations, contract, config, encoder) -> _Run:
    checkpoint = load_checkpoint(out)
    require_same_contract(contract, checkpoint.contract.digest, str(out))
    digest = digest_demos(demonstrations)
    if digest != checkpoint.demos["digest"]:
        raise PriorError(
            f"{out} was trained on demonstrations {checkpoint.demos['digest'][:12]}, these are {digest[:12]}: "
            "resume with the same ones, or start anew in another directory"
        )
    if (encoder.digest if encoder else None) != checkpoint.demos.get("encoder"):
        raise PriorError(f"{out} was trained with another --encoder: resume with the same one, or start anew elsewhere")
    config = dataclasses.replace(config or checkpoint.config, encoder=checkpoint.config.encoder)
    if dataclasses.replace(config, updates=checkpoint.config.updates) != checkpoint.config:
        raise PriorError(f"{out} was trained with another configuration: resume without one, or start anew elsewhere")
    run = _Run(demonstrations, contract, config, out, encoder)
    run.restore(checkpoint)
    return run


def _generator(seed: int, update: int) -> torch.Generator:
    words = np.random.SeedSequence([seed, update + 1]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)


@contextmanager
def _threads(count: int):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
