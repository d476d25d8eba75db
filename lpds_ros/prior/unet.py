"""A denoiser that is a convolutional U-Net along the rows of the chunk, conditioned by FiLM (diffusion policy's UNet1D).

Its structure is that of the public ConditionalUnet1D (two residual blocks a level, group norm, FiLM of scale and shift) with SiLU
in place of Mish. Every convolution is one gather of rows and ONE matrix product with a constant right side: the form that CPUs
run best and that int8 knows. Activations stand as [B, G, rows, channels of a group]: what group norm normalises lies together,
and the gather does the work of padding, of shifting and of putting the channels of a row back together.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from lpds_ros.prior.network import Denoiser


class UnetDenoiser(Denoiser):
    """C = E: FiLM's scales and shifts of all residual blocks, group by group. They are linear in what time and state give: the
    sum splits exactly.

    channels: of each level, finest first; T_p is a multiple of 2^(levels - 1). width: of the embedded time.
    """

    def __init__(
        self,
        noise_shape: tuple[int, int],
        state_size: int,
        channels: tuple[int, ...],
        kernel: int,
        groups: int,
        width: int,
        time_features: int,
    ):
        super().__init__(time_features)
        rows, size = self.noise_shape = tuple(noise_shape)
        self.groups = groups
        down, up, shape, last = [], [], (1, rows, size), len(channels) - 1
        for level, count in enumerate(channels):
            down.append(FilmBlock(shape, count, kernel, groups))
            down.append(FilmBlock(down[-1].shape, count, kernel, groups))
            shape = down[-1].shape
            if level < last:
                down.append(Downsample(shape))
                shape = down[-1].shape
        middle = [FilmBlock(shape, channels[-1], kernel, groups) for _ in range(2)]
        for count in reversed(channels[:-1]):
            up.append(FilmBlock((2 * shape[0], *shape[1:]), count, kernel, groups))
            up.append(FilmBlock(up[-1].shape, count, kernel, groups))
            up.append(Upsample(up[-1].shape))
            shape = up[-1].shape
        parts = {"down": down, "middle": middle, "up": up, "last": [ConvNorm(shape, channels[0], kernel, groups)]}
        self.blocks = nn.ModuleDict({name: nn.ModuleList(modules) for name, modules in parts.items()})
        self.head = RowProduct(shape, size)
        each = [block.shape[2] for block in (*down, *middle, *up) if isinstance(block, FilmBlock)]
        self.film = [count for count in each for _ in ("scale", "shift")]
        size = groups * sum(self.film)
        self.from_state = nn.Sequential(nn.SiLU(), nn.Linear(state_size, size, bias=False))
        self.from_time = nn.Sequential(
            nn.Linear(time_features, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, width),
            nn.SiLU(),
            nn.Linear(width, size),
        )
        with torch.no_grad():
            for scale in self.from_time[-1].bias.unflatten(0, (groups, -1)).split(self.film, dim=1)[::2]:
                scale += 1.0

    def step(self, x, condition):
        dtype = next(self.blocks.parameters()).dtype  # blocks may be held in bfloat16
        condition = condition.unflatten(1, (self.groups, 1, -1))
        parts, skips = condition.to(dtype).split(self.film, dim=3), []
        films = zip(parts[::2], parts[1::2])
        x = x.unflatten(1, (1, *self.noise_shape)).to(dtype)
        for block in self.blocks["down"]:
            if isinstance(block, Downsample):
                skips.append(x)
            x = block(x, *next(films)) if isinstance(block, FilmBlock) else block(x)
        skips.append(x)
        for block in self.blocks["middle"]:
            x = block(x, *next(films))
        for i, block in enumerate(self.blocks["up"]):
            if i % 3 == 0:
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(x, *next(films)) if isinstance(block, FilmBlock) else block(x)
        x = self.blocks["last"][0](x)
        return self.head(x.to(condition.dtype)).reshape(-1, math.prod(self.noise_shape))


class FilmBlock(nn.Module):
    """Two convolutions with FiLM between them, and a way past them: [B, *shape] -> [B, G, rows, count / G]."""

    def __init__(self, shape: tuple[int, int, int], count: int, kernel: int, groups: int):
        super().__init__()
        self.first = ConvNorm(shape, count, kernel, groups)
        self.shape = self.first.shape
        self.second = ConvNorm(self.shape, count, kernel, groups)
        self.past = nn.Identity() if shape == self.shape else Regrouped(RowProduct(shape, count), groups)

    def forward(self, x, scale, shift):
        return self.second(self.first(x) * scale + shift) + self.past(x)


class ConvNorm(nn.Module):
    """Convolution that keeps the rows, group norm, SiLU."""

    def __init__(self, shape: tuple[int, int, int], count: int, kernel: int, groups: int):
        super().__init__()
        self.convolution = Regrouped(RowProduct(shape, count, range(-(kernel // 2), kernel // 2 + 1)), groups)
        self.shape = self.convolution.shape
        self.scale = nn.Parameter(torch.ones(groups, 1, count // groups))
        self.shift = nn.Parameter(torch.zeros(groups, 1, count // groups))

    def forward(self, x):
        normal = F.layer_norm(self.convolution(x), self.shape[1:])  # the rows and channels of a group
        return F.silu(normal * self.scale + self.shift)


class Downsample(nn.Module):
    """Half the rows: a convolution of kernel 3, stride 2."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        groups, _, each = shape
        self.convolution = Regrouped(RowProduct(shape, groups * each, (-1, 0, 1), stride=2), groups)
        self.shape = self.convolution.shape

    def forward(self, x):
        return self.convolution(x)


class Upsample(nn.Module):
    """Twice the rows: a transposed convolution of kernel 4, stride 2, as a convolution for even rows and one for odd rows."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        groups, rows, each = shape
        self.shape = (groups, 2 * rows, each)
        self.even = RowProduct(shape, groups * each, (-1, 0), bias=False)
        self.odd = RowProduct(shape, groups * each, (0, 1), bias=False)
        self.bias = nn.Parameter(torch.zeros(groups, 1, each))

    def forward(self, x):
        pairs = torch.stack([self.even(x), self.odd(x)], dim=1)  # [B rows, 2, C]
        return in_groups(pairs, self.shape) + self.bias


class RowProduct(nn.Module):
    """[B, G, rows, c] -> [B * rows / stride, count]: each row with its neighbours at `offsets`, times one matrix.

    The matrix is a Conv1d's weight [count, G c, kernel] with its last two dimensions exchanged: [count, kernel G c].
    """

    def __init__(self, shape: tuple[int, int, int], count: int, offsets=(0,), *, stride: int = 1, bias: bool = True):
        super().__init__()
        groups, rows, each = shape
        self.product = nn.Linear(len(offsets) * groups * each, count, bias=bias)
        row = torch.arange(0, rows, stride)[:, None] + torch.tensor(list(offsets))
        inside = (row >= 0) & (row < rows)
        index = torch.arange(groups) * rows + row[..., None]  # [rows / stride, kernel, G] among the rows of all groups
        index[~inside] = groups * rows  # the row of zeros past the last
        self.register_buffer("index", index.flatten(), persistent=False)
        self.padded, self.rows_out, self.channels = not inside.all().item(), len(row), groups * each

    def forward(self, x):
        x = x.flatten(1, 2)
        if self.padded:
            x = F.pad(x, (0, 0, 0, 1))
        return self.product(x.index_select(1, self.index).reshape(-1, self.product.in_features))


class Regrouped(nn.Module):
    """What a product gives, as [B, groups, rows, count / groups]."""

    def __init__(self, product: RowProduct, groups: int):
        super().__init__()
        self.product, self.shape = product, (groups, product.rows_out, product.product.out_features // groups)

    def forward(self, x):
        return in_groups(self.product(x), self.shape)


def in_groups(rows: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """[B, rows, C] in any shape -> [B, groups, rows, C / groups]."""
    groups, count, each = shape
    return rows.reshape(-1, count, groups, each).transpose(1, 2)
