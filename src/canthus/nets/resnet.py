"""ResNet-18 without its classifier [He et al., "Deep Residual Learning for Image Recognition", 2016], table 1."""

from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm


class Basic(nn.Module):
    """Two 3x3 convolutions with a skip connection, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.inner = nn.Sequential(ConvNorm(inside, outside, stride=stride), ConvNorm(outside, outside, activate=False))
        nn.init.zeros_(self.inner[1][1].weight)  # type: ignore[index]
        same = inside == outside and stride == 1
        self.skip = nn.Identity() if same else ConvNorm(inside, outside, 1, stride, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H / stride, W / stride)."""
        return functional.relu(self.skip(x) + self.inner(x), inplace=True)


class ResNet18(nn.Module):
    """The network: a picture to one vector."""

    def __init__(self, width: int = 64) -> None:
        """Build it with `width` channels at stride 4 (64 in the paper), and twice as many after each halving."""
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(3, width, 7, 2), nn.MaxPool2d(3, 2, 1), Basic(width, width)]
        layers.append(Basic(width, width))
        for channels in (2 * width, 4 * width, 8 * width):
            layers += [Basic(channels // 2, channels, 2), Basic(channels, channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 8 * width)."""
        summary: Tensor = self.layers(crops).mean((2, 3))
        return summary
