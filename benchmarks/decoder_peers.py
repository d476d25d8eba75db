"""The decoders as others run them, from the weights of ours: plain torch networks, and their sampling loops.

The networks are put together as in the public code of DPPO and of diffusion policy: time embedded and condition computed in every
evaluation, Conv1d, GroupNorm and ConvTranspose1d, one modulation layer a block. What they compute is what ours compute.
"""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.sampler import Decoder, signal_levels, time_steps
from lpds_ros.prior.unet import Downsample, FilmBlock


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = weight.contiguous()
    if bias is not None:
        layer.bias.data = bias.contiguous()
    return layer


class PlainMlp(nn.Module):
    """Chunk, state and embedded time side by side into one MLP."""

    def __init__(self, ours, shape):
        super().__init__()
        self.ours, self.shape = ours, shape
        last = ours.from_time[2]
        weights = [ours.from_chunk.weight, last.weight, ours.from_state.weight]
        self.first = linear(torch.cat(weights, 1), last.bias)
        self.time = ours.from_time[:2]

    def forward(self, x, time, state):
        embedded = self.time(sinusoids(self.ours, time))
        hidden = self.first(torch.cat([x.flatten(1), embedded, state], 1))
        for block in self.ours.blocks:
            hidden = block(hidden)
        return self.ours.head(F.silu(hidden)).unflatten(1, self.shape)


class PlainDit(nn.Module):
    """A modulation layer in each block, and torch's fused attention."""

    def __init__(self, ours, shape):
        super().__init__()
        self.ours, width = ours, ours.position.shape[1]
        blocks = len(ours.blocks)
        sizes = [6 * width] * blocks + [2 * width]
        parts = zip(ours.to_condition.weight.split(sizes), ours.to_condition.bias.split(sizes))
        self.modulations = nn.ModuleList(linear(*part) for part in parts)

    def forward(self, x, time, state):
        ours = self.ours
        told = F.silu(ours.from_state(state) + ours.from_time(sinusoids(ours, time)))
        tokens = ours.from_rows(x) + ours.position
        for block, modulation in zip(ours.blocks, self.modulations):
            shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation(told).unsqueeze(1).chunk(6, dim=2)
            split = block.to_qkv(self.normal(tokens) * scale_a + shift_a).unflatten(2, (3, block.heads, -1))
            mixed = F.scaled_dot_product_attention(*split.permute(2, 0, 3, 1, 4).unbind(0))
            tokens = tokens + gate_a * block.from_heads(mixed.transpose(1, 2).flatten(2))
            inside = F.silu(block.inner(self.normal(tokens) * scale_m + shift_m))
            tokens = tokens + gate_m * block.outer(inside)
        shift, scale = self.modulations[-1](told).unsqueeze(1).chunk(2, dim=2)
        return ours.head(self.normal(tokens) * scale + shift)

    @staticmethod
    def normal(tokens):
        return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)


class PlainUnet(nn.Module):
    """ConditionalUnet1D: [B, channels, rows], Conv1d, GroupNorm, a FiLM layer in each block."""

    def __init__(self, ours, shape):
        super().__init__()
        self.ours = ours
        self.time = ours.from_time[:3]
        per_film = [layer.unflatten(0, (ours.groups, -1)).split(ours.film, dim=1) for layer in self.film_weights()]
        films = iter(range(0, len(ours.film), 2))
        self.parts = nn.ModuleDict()
        for name, blocks in ours.blocks.items():
            made = nn.ModuleList()
            for block in blocks:
                if isinstance(block, FilmBlock):
                    i = next(films)
                    weight, bias = (torch.cat([part[i].flatten(0, 1), part[i + 1].flatten(0, 1)]) for part in per_film)
                    made.append(PlainFilmBlock(block, linear(weight, bias)))
                elif isinstance(block, Downsample):
                    made.append(convolution(block.convolution.product, stride=2, padding=1))
                elif name == "up":
                    made.append(upsampling(block))
                else:
                    made.append(plain_block(block))
            self.parts[name] = made
        self.head = convolution(ours.head)

    def film_weights(self):
        """The weight over (embedded time, state) of all FiLM layers, and their bias."""
        last, state = self.ours.from_time[4], self.ours.from_state[1]
        return torch.cat([last.weight, state.weight], 1), last.bias

    def forward(self, x, time, state):
        told = torch.cat([self.time(sinusoids(self.ours, time)), state], 1)
        x, skips = x.transpose(1, 2), []
        for module in self.parts["down"]:
            if isinstance(module, nn.Conv1d):
                skips.append(x)
            x = module(x, told) if isinstance(module, PlainFilmBlock) else module(x)
        skips.append(x)
        for module in self.parts["middle"]:
            x = module(x, told)
        for i, module in enumerate(self.parts["up"]):
            if i % 3 == 0:
                x = torch.cat([x, skips.pop()], dim=1)
            x = module(x, told) if isinstance(module, PlainFilmBlock) else module(x)
        return self.head(self.parts["last"][0](x)).transpose(1, 2)


class PlainFilmBlock(nn.Module):
    def __init__(self, block, film):
        super().__init__()
        self.first, self.second, self.film = plain_block(block.first), plain_block(block.second), film
        self.past = nn.Identity() if isinstance(block.past, nn.Identity) else convolution(block.past.product)

    def forward(self, x, told):
        scale, shift = self.film(F.silu(told)).unsqueeze(2).chunk(2, dim=1)
        return self.second(scale * self.first(x) + shift) + self.past(x)


def plain_block(block) -> nn.Sequential:
    groups, _, each = block.shape
    norm = nn.GroupNorm(groups, groups * each)
    norm.weight.data, norm.bias.data = block.scale.flatten().clone(), block.shift.flatten().clone()
    product = block.convolution.product
    return nn.Sequential(convolution(product, padding=len(kernel_of(product)[0, 0]) // 2), norm, nn.SiLU())


def kernel_of(product) -> torch.Tensor:
    """The weight [count, channels, kernel] of the convolution that a RowProduct is."""
    return product.product.weight.unflatten(1, (-1, product.channels)).transpose(1, 2)


def convolution(product, **options) -> nn.Conv1d:
    weight = kernel_of(product)
    layer = nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], **options)
    layer.weight.data, layer.bias.data = weight.contiguous(), product.product.bias.clone()
    return layer


def upsampling(block) -> nn.ConvTranspose1d:
    even, odd = kernel_of(block.even), kernel_of(block.odd)
    kernel = torch.stack([odd[..., 1], even[..., 1], odd[..., 0], even[..., 0]], dim=2).transpose(0, 1)
    layer = nn.ConvTranspose1d(kernel.shape[0], kernel.shape[1], 4, 2, 1)
    layer.weight.data, layer.bias.data = kernel.contiguous(), block.bias.flatten().clone()
    return layer


def sinusoids(ours, time: torch.Tensor) -> torch.Tensor:
    rates = torch.exp(torch.linspace(0.0, np.log(100.0), ours.time_features // 2))
    angles = time[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


PLAIN = {"mlp": PlainMlp, "dit": PlainDit, "unet": PlainUnet}


class EagerDdim:
    """The DDIM loop as DPPO and DSRL run it: coefficients looked up by time step, clean chunk clipped, noise derived again."""

    def __init__(self, decoder: Decoder, config: PriorConfig):
        self.decoder, self.train_steps = decoder, config.train_steps
        self.network = PLAIN[config.network](decoder.network, decoder.noise_shape).eval().requires_grad_(False)
        visited = time_steps(config.train_steps, config.steps)
        levels = signal_levels(config.train_steps)
        self.times = torch.from_numpy(visited.copy())
        self.now = torch.tensor(levels[visited], dtype=torch.float32)
        self.after = torch.tensor(np.append(levels[visited[1:]], 1.0), dtype=torch.float32)

    @torch.no_grad()
    def __call__(self, observation: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        decoder, x = self.decoder, noise
        state = decoder.normalised(observation)
        for k, step in enumerate(self.times):
            time = torch.full((len(x),), float(step)) / self.train_steps
            out = self.network(x, time, state)
            now, after = self.now[k].view(1, 1, 1), self.after[k].view(1, 1, 1)
            clean = ((x - (1.0 - now).sqrt() * out) / now.sqrt()).clamp(-1.0, 1.0)
            out = (x - now.sqrt() * clean) / (1.0 - now).sqrt()
            x = after.sqrt() * clean + (1.0 - after).sqrt() * out
        return decoder.bounded(x.flatten(1))


class DiffusersDdim(EagerDdim):
    """The same network under Hugging Face diffusers' DDIMScheduler, with our schedule. Raises ImportError without diffusers."""

    def __init__(self, decoder: Decoder, config: PriorConfig):
        from diffusers import DDIMScheduler

        super().__init__(decoder, config)
        levels = signal_levels(config.train_steps)
        betas = 1.0 - levels / np.append(1.0, levels[:-1])
        self.scheduler = DDIMScheduler(
            num_train_timesteps=config.train_steps,
            trained_betas=betas.astype(np.float32),
            timestep_spacing="trailing",
            prediction_type="epsilon",
        )
        self.scheduler.set_timesteps(config.steps)

    @torch.no_grad()
    def __call__(self, observation, noise):
        decoder, x = self.decoder, noise
        state = decoder.normalised(observation)
        for step in self.scheduler.timesteps:
            time = torch.full((len(x),), float(step)) / self.train_steps
            out = self.network(x, time, state)
            x = self.scheduler.step(out, step, x, eta=0.0, use_clipped_model_output=True).prev_sample
        return decoder.bounded(x.flatten(1))


class LerobotDdim(DiffusersDdim):
    """LeRobot's DiffusionModel with its own sampling loop; a U-Net with FiLM's scales, 256 numbers of embedded time.

    Its U-Net has our structure: it gets our weights, and what else must be ours for the same function, SiLU in place of Mish, the
    sinusoids, the schedule. Raises ImportError (RuntimeError, where its torchvision does not fit torch) without lerobot.
    """

    def __init__(self, decoder: Decoder, config: PriorConfig):
        from lerobot.configs.types import FeatureType, PolicyFeature
        from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
        from lerobot.policies.diffusion.modeling_diffusion import DiffusionModel

        super().__init__(decoder, config)
        rows, size = decoder.noise_shape
        sizes = DiffusionConfig(
            n_obs_steps=1,
            horizon=rows,
            n_action_steps=rows,
            input_features={"observation.state": PolicyFeature(FeatureType.STATE, (len(decoder.state_shift),))},
            output_features={"action": PolicyFeature(FeatureType.ACTION, (size,))},
            down_dims=config.channels,
            kernel_size=config.kernel,
            n_groups=config.groups,
            diffusion_step_embed_dim=config.width,
            num_inference_steps=config.steps,
        )
        self.model = DiffusionModel(sizes).eval().requires_grad_(False)
        self.scheduler.step = partial(self.scheduler.step, use_clipped_model_output=True)
        self.model.noise_scheduler = self.scheduler
        _take_weights(self.model.unet, self.network, config.train_steps)

    @torch.no_grad()
    def __call__(self, observation, noise):
        state = self.decoder.normalised(observation)
        chunk = self.model.generate_actions({"observation.state": state.unsqueeze(1)}, noise=noise)
        return self.decoder.bounded(chunk.flatten(1))


class Sinusoids(nn.Module):
    def __init__(self, ours, train_steps: int):
        super().__init__()
        self.ours, self.train_steps = ours, train_steps

    def forward(self, step):
        return sinusoids(self.ours, step / self.train_steps)


def _take_weights(unet: nn.Module, plain: PlainUnet, train_steps: int):
    """Into LeRobot's U-Net, layer by layer in their common order; another shape anywhere is an error."""
    down, up = ([blocks[i : i + 3] for i in range(0, len(blocks), 3)] for blocks in (plain.parts["down"], plain.parts["up"]))
    levels = zip((*unet.down_modules, unet.mid_modules, *unet.up_modules), (*down, plain.parts["middle"], *up), strict=True)
    for theirs, ours in levels:
        for module, source in zip(theirs, ours):  # the last level of the way down ends in an Identity
            pairs = [(module, source)]
            if isinstance(source, PlainFilmBlock):
                pairs = [
                    *zip(module.conv1.block, source.first),
                    *zip(module.conv2.block, source.second),
                    (module.cond_encoder[1], source.film),
                    (module.residual_conv, source.past),
                ]
            for target, layer in pairs:
                target.load_state_dict(layer.state_dict())
    for target, layer in zip(unet.final_conv[0].block, plain.parts["last"][0]):
        target.load_state_dict(layer.state_dict())
    unet.final_conv[1].load_state_dict(plain.head.state_dict())
    unet.diffusion_step_encoder = nn.Sequential(Sinusoids(plain.ours, train_steps), *plain.time)
    for module in list(unet.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Mish):
                setattr(module, name, nn.SiLU())
