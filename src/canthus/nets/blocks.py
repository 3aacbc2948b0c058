"""Building blocks that several networks share. Tensors are (N, C, H, W)."""

from torch import Tensor, nn
from torch.nn import functional


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless told otherwise, ReLU. (N, inside, H, W) -> (N, outside, H/s, W/s)."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, stride: int = 1, activate: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outside),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if activate else []))


class Residual(nn.Module):
    """Two dense 3x3 convolutions with a skip [He et al., 2016]. Shapes stay."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(ConvNorm(width, width), ConvNorm(width, width, activate=False))
        nn.init.zeros_(self.inner[1][1].weight)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> (N, width, H, W)."""
        return functional.relu(x + self.inner(x), inplace=True)
