"""The image encoder that is trained with a denoiser: a small residual network with a spatial softmax, one for each stream.

Its features are where in the picture each of its maps is strongest (Levine et al. 2016; Finn et al. 2016): coordinates in
[-1, 1], which fit a normalised observation as they are. Group norm, since averaged weights and batch norm do not agree.
"""

import torch
from torch import nn

from lpds_ros.contract import Contract
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.problem import Problem

GROUPS = 8


class ImageEncoder(nn.Module):
    """image uint8 [B, h, w, 3] RGB -> features float32 [B, 2 keypoints]: all x (right positive), then all y (down positive).

    channels: of each stage, which halves the sides of its maps.
    """

    def __init__(self, keypoints: int, channels: tuple[int, ...]):
        super().__init__()
        self.stem = nn.Conv2d(3, channels[0], 5, stride=2, padding=2)
        self.stages = nn.Sequential(*(Stage(a, b) for a, b in zip(channels, channels[1:])))
        self.to_maps = nn.Conv2d(channels[-1], keypoints, 1)
        self.sharpness = nn.Parameter(torch.ones(()))

    def forward(self, image):
        x = image.permute(0, 3, 1, 2).to(self.stem.weight.dtype) * (2.0 / 255.0) - 1.0
        maps = self.to_maps(nn.functional.silu(self.stages(self.stem(x))))
        height, width = maps.shape[2:]
        weights = (self.sharpness * maps).flatten(2).softmax(-1).unflatten(2, (height, width))
        across = torch.linspace(-1.0, 1.0, width, device=maps.device)
        down = torch.linspace(-1.0, 1.0, height, device=maps.device)
        return torch.cat([(weights.sum(2) * across).sum(-1), (weights.sum(3) * down).sum(-1)], dim=1)


class Stage(nn.Module):
    """Half the sides, then a residual block."""

    def __init__(self, before: int, channels: int):
        super().__init__()
        self.reduce = nn.Conv2d(before, channels, 3, stride=2, padding=1)
        self.inner = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))
        self.outer = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x):
        x = self.reduce(nn.functional.silu(x))
        return x + self.outer(self.inner(x))


def make_encoders(contract: Contract | Problem, config: PriorConfig) -> nn.ModuleDict | None:
    """An untrained encoder for each stream of images; None without images, or where the encoder is given.

    Raises PriorError when a feature has an odd number of numbers: a keypoint has two.
    """
    if not contract.images or config.encoder == "given":
        return None
    for feature in contract.images.values():
        if feature.size % 2:
            raise PriorError(f"feature '{feature.name}': a trained encoder gives keypoints of two numbers, so size must be even")
    return nn.ModuleDict({s: ImageEncoder(f.size // 2, config.encoder_channels) for s, f in contract.images.items()})


def shifted(images: torch.Tensor, most_px: int, generator: torch.Generator) -> torch.Tensor:
    """Each picture [B, h, w, 3] moved by up to `most_px` both ways, its edge repeated: a random crop of the padded picture."""
    count, height, width = images.shape[:3]
    down, right = torch.randint(-most_px, most_px + 1, (2, count, 1), generator=generator)
    rows = (torch.arange(height) + down).clamp(0, height - 1)
    columns = (torch.arange(width) + right).clamp(0, width - 1)
    return images[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
