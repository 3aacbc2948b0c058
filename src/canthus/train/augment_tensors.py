"""The changes of `augment.py` for whole batches of crops at once, as tensors: for a GPU.

Each function takes crops (N, 3, S, S) with values 0..255 as float32 and returns crops of the same shape.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from canthus.train.augment import Random
from canthus.train.recipe import Augment

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel [ITU-R BT.601]."""
# fmt: off
_LUMA_STEPS = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
], np.float32).reshape(8, 8)
_COLOUR_STEPS = np.array([
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66,
    *[99] * 38,
], np.float32).reshape(8, 8)
# fmt: on
"""Steps of quantisation of JPEG at quality 50 [ITU-T T.81, annex K]."""


def vary(crops: Tensor, settings: Augment, rng: Random) -> Tensor:
    """Change how the crops of a batch look, each with the probabilities of the settings; nothing in them moves."""
    crops = crops.clone()
    chance = rng.random((6, len(crops)))
    relit = np.full(len(crops), settings.light > 0)
    for change, chosen in (
        (occlude, chance[0] < settings.occlude),
        (lambda some, rng: relight(some, settings.light, rng), relit),
        (grey, chance[1] < settings.grey),
        (shrink, chance[2] < settings.shrink),
        (blur, chance[3] < settings.blur),
        (noise, chance[4] < settings.noise),
        (compress, chance[5] < settings.jpeg),
    ):
        if chosen.any():
            rows = torch.from_numpy(np.flatnonzero(chosen)).to(crops.device, non_blocking=True)
            crops[rows] = change(crops[rows], rng)
    return crops


def _as(values: NDArray[Any], crops: Tensor) -> Tensor:
    """One value for each crop, or for each of its channels: (N,) or (N, 3) -> (N, 1 or 3, 1, 1)."""
    flat = values.reshape(len(values), -1, 1, 1).astype(np.float32)
    return torch.from_numpy(flat).to(crops.device, non_blocking=True)


def _generator(crops: Tensor, rng: Random) -> torch.Generator:
    """Randomness of the device of the crops."""
    return torch.Generator(crops.device).manual_seed(int(rng.integers(2**63)))


def relight(crops: Tensor, strength: float, rng: Random) -> Tensor:
    """Brightness, contrast, gamma, white balance and saturation."""
    count = len(crops)
    gamma = np.exp(strength * 0.7 * rng.uniform(-1, 1, count))
    gain = np.exp(strength * (0.5 * rng.uniform(-1, 1, (count, 1)) + 0.25 * rng.uniform(-1, 1, (count, 3))))
    offset = strength * 0.3 * rng.uniform(-1, 1, count)
    mix = strength * rng.uniform(-1, 0.8, count)
    lit = (crops / 255).clamp(0, 1) ** _as(gamma, crops) * _as(gain, crops) + _as(offset, crops)
    lit = (255 * lit).clamp(0, 255)
    return (lit + _as(mix, crops) * (_luma(lit) - lit)).clamp(0, 255)


def _luma(crops: Tensor) -> Tensor:
    """Brightness. (N, 3, S, S) -> (N, 1, S, S)."""
    red, green, blue = crops[:, :1], crops[:, 1:2], crops[:, 2:]
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def grey(crops: Tensor, rng: Random) -> Tensor:
    """Brightness alone, in all channels."""
    return _luma(crops).expand_as(crops)


def shrink(crops: Tensor, rng: Random) -> Tensor:
    """Reduce to a fraction of the size and enlarge again, as a small face."""
    size = crops.shape[-1]
    small = torch.from_numpy((size * rng.uniform(0.25, 0.7, len(crops))).astype(np.int64))
    return _resampled(crops, _shrunk(size, crops.device)[small.to(crops.device, non_blocking=True)])


@cache
def _shrunk(size: int, device: torch.device) -> Tensor:
    """Matrices that average S pixels of a line to k = 0 .. S - 1, and interpolate between these. Shape (S, S, S)."""
    place, every = np.arange(size), np.zeros((size, size, size), np.float32)
    for small in range(1, size):
        scale, ends = size / small, np.arange(small)[:, None]
        overlap = np.minimum(place + 1, scale * (ends + 1)) - np.maximum(place, scale * ends)  # (k, S)
        at = np.clip((place + 0.5) / scale - 0.5, 0, small - 1)
        up = np.clip(1 - np.abs(at[:, None] - np.arange(small)), 0, None)  # (S, k)
        every[small] = up @ np.clip(overlap, 0, None) / scale
    return torch.from_numpy(every).to(device)


def _resampled(crops: Tensor, lines: Tensor) -> Tensor:
    """Apply a matrix (N, S, S) to the lines and to the columns of each crop."""
    return lines[:, None] @ crops @ lines[:, None].transpose(-1, -2)


def blur(crops: Tensor, rng: Random) -> Tensor:
    """Gaussian blur, or motion blur along a random line."""
    crops = crops.clone()
    moving = rng.random(len(crops)) < 0.5
    for change, chosen in ((soften, ~moving), (streak, moving)):
        if chosen.any():
            rows = torch.from_numpy(np.flatnonzero(chosen)).to(crops.device, non_blocking=True)
            crops[rows] = change(crops[rows], rng)
    return crops


def soften(crops: Tensor, rng: Random) -> Tensor:
    """Gaussian blur; lines are continued by their mirror images."""
    size = crops.shape[-1]
    sigma = _as(rng.uniform(0.5, 0.025 * size, len(crops)), crops)[:, 0]  # (N, 1, 1)
    place = torch.arange(size, device=crops.device, dtype=torch.float32)
    total = torch.zeros((len(crops), size, size), device=crops.device)
    for image in (place, -place, 2 * (size - 1) - place):
        weight = torch.exp(-((place[:, None] - image) ** 2) / (2 * sigma**2))
        total += weight if image is place else weight * (image != place)
    return _resampled(crops, total / total.sum(-1, keepdim=True))


def streak(crops: Tensor, rng: Random) -> Tensor:
    """Motion blur along a random line."""
    count, _, size, _ = crops.shape
    reach = max(2, size // 24) - 1
    half = rng.integers(1, max(2, size // 24), count)[:, None, None]
    angle = rng.uniform(0, np.pi, count)[:, None, None]
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernels = np.clip(1 - np.abs(across), 0, 1) * np.clip(half + 0.5 - np.abs(along), 0, 1)
    kernels = (kernels / kernels.sum((1, 2), keepdims=True)).astype(np.float32)
    weights = torch.from_numpy(kernels).to(crops.device, non_blocking=True)
    wide = functional.pad(crops, [reach] * 4, "reflect")
    total = torch.zeros_like(crops)
    for row in range(2 * reach + 1):
        for column in range(2 * reach + 1):
            part = wide[..., row : row + size, column : column + size]
            total += weights[:, row, column, None, None, None] * part
    return total


def noise(crops: Tensor, rng: Random) -> Tensor:
    """Sensor noise."""
    sigma = _as(rng.uniform(2, 14, len(crops)), crops)
    drawn = torch.randn(crops.shape, generator=_generator(crops, rng), device=crops.device)
    return (crops + sigma * drawn).clamp(0, 255)


def compress(crops: Tensor, rng: Random) -> Tensor:
    """Strong JPEG compression, with colour at half the resolution. S is a multiple of 16."""
    quality = rng.integers(8, 50, len(crops))
    luma = _luma(crops)
    colour = torch.cat([(crops[:, 2:] - luma) / 1.772, (crops[:, :1] - luma) / 1.402], 1)
    colour = functional.avg_pool2d(colour, 2)
    luma, colour = _quantised(luma - 128, _LUMA_STEPS, quality), _quantised(colour, _COLOUR_STEPS, quality)
    colour, luma = functional.interpolate(colour, scale_factor=2.0, mode="bilinear"), luma + 128
    red, blue = luma + 1.402 * colour[:, 1:], luma + 1.772 * colour[:, :1]
    green = (luma - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.cat([red, green, blue], 1).clamp(0, 255)


def _quantised(planes: Tensor, steps: NDArray[np.float32], quality: NDArray[np.int64]) -> Tensor:
    """Planes (N, C, H, W) whose blocks of 8 x 8 pixels have rounded cosine coefficients."""
    count, channels, height, width = planes.shape
    scale = np.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    table = np.clip(np.floor((steps * scale + 50) / 100), 1, 255).astype(np.float32)
    each = torch.from_numpy(table).to(planes.device, non_blocking=True)[:, None, None, None]
    basis = _cosines(planes.device)
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    coefficients = (basis @ blocks @ basis.T / each).round() * each
    return (basis.T @ coefficients @ basis).transpose(3, 4).reshape(planes.shape)


@cache
def _cosines(device: torch.device) -> Tensor:
    """The basis of the cosine transform of 8 values, a row for each function. Shape (8, 8)."""
    number, at = np.mgrid[:8, :8]
    basis = np.cos(math.pi * (2 * at + 1) * number / 16) * np.where(number == 0, math.sqrt(1 / 8), 0.5)
    return torch.from_numpy(basis.astype(np.float32)).to(device)


def occlude(crops: Tensor, rng: Random) -> Tensor:
    """Cover a rectangle or ellipse by a flat colour, noise, or a piece of another crop of the batch."""
    count, _, size, _ = crops.shape
    wide, high = np.trunc(size * rng.uniform(0.12, 0.5, (2, count)))
    left, top = rng.integers(-size // 8, size - size // 8, (2, count))
    x0, x1 = _as(np.clip(left, 0, size), crops), _as(np.clip(left + wide, 0, size), crops)
    y0, y1 = _as(np.clip(top, 0, size), crops), _as(np.clip(top + high, 0, size), crops)
    place = torch.arange(size, device=crops.device, dtype=torch.float32)
    xs, ys = place[None, None, None], place[None, None, :, None]
    inside = (xs >= x0) & (xs < x1) & (ys >= y0) & (ys < y1)
    across = (2 * xs + 1 - x0 - x1) / (x1 - x0).clamp(min=1)
    down = (2 * ys + 1 - y0 - y1) / (y1 - y0).clamp(min=1)
    round_ = _as(rng.random(count) < 0.5, crops) > 0
    inside &= ~round_ | (across**2 + down**2 <= 1)
    kind = _as(rng.random(count), crops)
    flat = _as(rng.integers(0, 256, (count, 3)), crops).expand_as(crops)
    drawn = torch.randint(0, 256, crops.shape, generator=_generator(crops, rng), device=crops.device).float()
    patch = torch.where(kind < 0.3, flat, torch.where(kind < 0.4, drawn, _elsewhere(crops, rng)))
    return torch.where(inside, patch, crops)


def _elsewhere(crops: Tensor, rng: Random) -> Tensor:
    """Another crop of the batch for each crop, with its parts at other positions."""
    count, _, size, _ = crops.shape
    across, down = (
        torch.from_numpy((np.arange(size) + rng.integers(size, size=(count, 1))) % size).to(crops.device)
        for _ in range(2)
    )
    other = torch.from_numpy(rng.permutation(count)).to(crops.device)
    return crops[other[:, None, None], :, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)
