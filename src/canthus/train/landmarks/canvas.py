"""The pictures of a pool in the memory of a GPU, which cuts and varies whole batches of crops there."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from canthus.geometry.transform import invert, scale_of
from canthus.train.augment import Random
from canthus.train.augment_tensors import vary
from canthus.train.landmarks.loader import Drawn
from canthus.train.recipe import Augment
from canthus.types import Image

FINEST = 8
"""Largest number of positions, across and down, that a pixel of a crop is the mean of."""


class Canvas:
    """Cuts the crops of a batch together, on the device that holds the pictures."""

    def __init__(self, images: Sequence[Image], device: torch.device) -> None:
        """Copy pictures, each (H, W, 3), to a device.

        Args:
            images: The pictures of a pool.
            device: The device.
        """
        sizes = np.array([image.shape[:2] for image in images])
        areas = sizes.prod(1)
        flat = torch.empty((int(areas.sum()), 3), dtype=torch.uint8, device=device)
        starts = np.concatenate([[0], areas.cumsum()])
        for image, start, end in zip(images, starts, starts[1:], strict=False):
            flat[start:end] = torch.from_numpy(np.ascontiguousarray(image).reshape(-1, 3)).to(device)
        self.flat, self.device = flat, device
        self.starts = torch.from_numpy(starts[:-1]).to(device)
        self.heights, self.widths = torch.from_numpy(sizes).to(device).unbind(1)

    def cut(self, drawn: Drawn, settings: Augment, rng: Random) -> Tensor:
        """Cut the crops of a batch and change how they look. Shape (N, S, S, 3), uint8."""
        crops = vary(self.warped(drawn), settings, rng)
        return crops.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def warped(self, drawn: Drawn) -> Tensor:
        """The crops with bilinear interpolation, black outside the pictures; fine pictures are averaged.

        Returns:
            Shape (N, 3, S, S), values 0..255.
        """
        fineness = np.clip(np.floor(1 / scale_of(drawn.matrices)), 1, FINEST).astype(np.int64)
        crops = torch.empty((len(fineness), 3, drawn.size, drawn.size), device=self.device)
        for fine in np.unique(fineness).tolist():
            rows = np.flatnonzero(fineness == fine)
            some = Drawn(drawn.chosen[rows], drawn.matrices[rows], drawn.flip[rows], drawn.size)
            crops[torch.from_numpy(rows).to(self.device, non_blocking=True)] = self._averaged(some, fine)
        return crops

    def _averaged(self, drawn: Drawn, fine: int) -> Tensor:
        """Crops, each pixel the mean of `fine` rows and columns of positions. Shape (N, 3, S, S)."""
        size = drawn.size
        place = (torch.arange(size * fine, device=self.device) + 0.5) / fine - 0.5
        columns = torch.where(torch.from_numpy(drawn.flip).to(self.device)[:, None], size - 1 - place, place)
        inverse = torch.from_numpy(invert(drawn.matrices).astype(np.float32)).to(self.device, non_blocking=True)
        x, y = columns[:, None, :, None], place[None, :, None, None]  # (N, 1, T, 1), (1, T, 1, 1)
        at = x * inverse[:, None, None, :, 0] + y * inverse[:, None, None, :, 1] + inverse[:, None, None, :, 2]
        crops = self._read(torch.from_numpy(drawn.chosen).to(self.device), at)
        crops = crops.permute(0, 3, 1, 2)
        return torch.nn.functional.avg_pool2d(crops, fine) if fine > 1 else crops

    def _read(self, chosen: Tensor, at: Tensor) -> Tensor:
        """Colours of pictures (N,) at positions (N, T, T, 2) in pixels. Shape (N, T, T, 3)."""
        start, width, height = (values[chosen][:, None, None] for values in (self.starts, self.widths, self.heights))
        corner = at.floor()
        share = at - corner
        corner = corner.clamp(-(2**20), 2**20).long()
        total = torch.zeros((*at.shape[:-1], 3), device=self.device)
        for right in (0, 1):
            for below in (0, 1):
                x, y = corner[..., 0] + right, corner[..., 1] + below
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                index = torch.where(inside, start + y * width + x, 0)
                weight = (share[..., 0] if right else 1 - share[..., 0]) * (
                    share[..., 1] if below else 1 - share[..., 1]
                )
                total += self.flat[index].float() * (weight * inside)[..., None]
        return total
