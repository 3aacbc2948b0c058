"""The trunk that the default network shares with the compact presets of the systems: a crop to features at stride 4.

Dense 3x3 convolutions at strides 2 to 16 and cheap 1x1 ones on the way back to stride 4 (`benchmarks/README.md`
compares alternatives). Systems that have it can start from each other's weights.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm, Residual


class Trunk(nn.Module):
    """The network: a crop to features at a quarter of its size, and one vector for the whole crop."""

    def __init__(
        self,
        stem: Sequence[int] = (16, 48),
        widths: Sequence[int] = (64, 128),
        depths: Sequence[int] = (2, 2),
        head: int = 64,
    ) -> None:
        """Build a trunk.

        Args:
            stem: Channels at strides 2 and 4.
            widths: Channels at strides 8 and 16.
            depths: Numbers of residual blocks at strides 8 and 16.
            head: Channels of the features.
        """
        super().__init__()
        (c2, c4), (c8, c16) = stem, widths
        self.stem = nn.Sequential(ConvNorm(3, c2, stride=2), ConvNorm(c2, c4, stride=2))
        self.stage8 = nn.Sequential(ConvNorm(c4, c8, stride=2), *(Residual(c8) for _ in range(depths[0])))
        self.stage16 = nn.Sequential(ConvNorm(c8, c16, stride=2), *(Residual(c16) for _ in range(depths[1])))
        self.context = nn.Linear(c16, c16)
        self.up16 = ConvNorm(c16, c8, 1, activate=False)
        self.merge8 = ConvNorm(c8, c8)
        self.up8 = ConvNorm(c8, head, 1, activate=False)
        self.side4 = ConvNorm(c4, head, 1, activate=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S), values in -.5 .. .5 -> features (N, head, S/4, S/4) and one vector (N, c16)."""
        x4 = self.stem(crops)  # (N, c4, S/4, S/4)
        x8 = self.stage8(x4)  # (N, c8, S/8, S/8)
        x16 = self.stage16(x8)  # (N, c16, S/16, S/16)
        whole = x16.mean((2, 3))  # (N, c16)
        x16 = x16 + functional.relu(self.context(whole))[:, :, None, None]
        x8 = self.merge8(functional.relu(x8 + double(self.up16(x16))))
        return functional.relu(self.side4(x4) + double(self.up8(x8))), whole


def wide_trunk() -> Trunk:
    """The trunk of the wide network, `models/large.canthus`; 128 channels of features."""
    return Trunk((32, 96), (128, 256), (3, 3), 128)


def double(x: Tensor) -> Tensor:
    """Nearest upsampling by two. (N, C, H, W) -> (N, C, 2H, 2W)."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
