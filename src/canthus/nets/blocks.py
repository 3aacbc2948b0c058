"""Building blocks that several networks share. Tensors are (N, C, H, W)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["post", "pre"]


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, with `activate`, ReLU. (N, inside, H, W) -> (N, outside, H/s, W/s)."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, stride: int = 1, activate: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outside),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if activate else []))


class Residual(nn.Module):
    """Two dense 3x3 convolutions with a skip connection [He et al., 2016]. Shapes are kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(ConvNorm(width, width), ConvNorm(width, width, activate=False))
        nn.init.zeros_(self.inner[1][1].weight)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> (N, width, H, W)."""
        return functional.relu(x + self.inner(x), inplace=True)


class NormConv(nn.Sequential):
    """Batch norm, ReLU, convolution: the order of identity mappings. (N, inside, H, W) -> (N, outside, H, W)."""

    def __init__(self, inside: int, outside: int, kernel: int = 3) -> None:
        super().__init__(
            nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True),
            nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False),
        )


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a skip connection; before training it gives what the skip gives.

    The 3x3 convolution has `neck` times the channels of the output. The activation is one of two kinds. "post": ReLU
    after the sum [He et al., Deep residual learning, 2016]; "pre": norm and ReLU before each convolution, nothing after
    the sum [He et al., Identity mappings in deep residual networks, 2016].
    """

    def __init__(self, inside: int, outside: int, activation: Activation = "pre", neck: float = 0.5) -> None:
        super().__init__()
        same, middle = inside == outside, round(outside * neck)
        self.inner = nn.Sequential()
        self.skip: nn.Module = nn.Identity()
        self.last: nn.Module = nn.Identity()
        if activation == "pre":
            out: nn.Sequential = NormConv(middle, outside, 1)
            # a norm at zero would close the ReLU behind it for good
            nn.init.zeros_(out[2].weight)  # type: ignore[arg-type]
            self.inner.extend([NormConv(inside, middle, 1), NormConv(middle, middle), out])
            if not same:
                self.skip = nn.Conv2d(inside, outside, 1, bias=False)
        else:
            out = ConvNorm(middle, outside, 1, activate=False)
            nn.init.zeros_(out[1].weight)  # type: ignore[arg-type]
            self.inner.extend([ConvNorm(inside, middle, 1), ConvNorm(middle, middle), out])
            self.last = nn.ReLU(inplace=True)
            if not same:
                self.skip = ConvNorm(inside, outside, 1, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H, W)."""
        summed: Tensor = self.last(self.skip(x) + self.inner(x))
        return summed


class Inception(nn.Module):
    """Parallel 1x1, 3x3 and two 3x3 convolutions, joined, projected by 1x1 and added to the skip: multi_view, fig. 2.

    Each of the three branches begins with its part of one common 1x1 convolution and has a quarter of the channels of
    the output: 3.19 c^2 weights where c channels stay c, against 3.25 c^2 of a `Bottleneck`. Norm and ReLU precede each
    convolution; before training the block gives what the skip gives.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.width = width = max(1, outside // 4)
        self.enter = NormConv(inside, 3 * width, 1)
        self.once = NormConv(width, width)
        self.twice = nn.Sequential(NormConv(width, width), NormConv(width, width))
        self.project = NormConv(3 * width, outside, 1)
        nn.init.zeros_(self.project[2].weight)  # type: ignore[arg-type]
        self.skip: nn.Module = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H, W)."""
        one, once, twice = self.enter(x).split(self.width, 1)  # (N, outside / 4, H, W) each
        joined = torch.cat([one, self.once(once), self.twice(twice)], 1)  # (N, 3 * outside / 4, H, W)
        summed: Tensor = self.skip(x) + self.project(joined)
        return summed
