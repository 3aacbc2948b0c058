"""Wide and strided convolutions of cascaded_cnn: factored filters, and halving by stride and max pool."""

from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm


def wide(inside: int, outside: int, kernel: int, factored: bool) -> nn.Sequential:
    """A wide convolution, or two thin ones with the same receptive field. (N, inside, H, W) -> (N, outside, H, W)."""
    if not factored:
        return ConvNorm(inside, outside, kernel)
    half = kernel // 2

    def thin(source: int, shape: tuple[int, int], padding: tuple[int, int]) -> nn.Sequential:
        convolution = nn.Conv2d(source, outside, shape, padding=padding, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))

    return nn.Sequential(thin(inside, (kernel, 1), (half, 0)), thin(outside, (1, kernel), (0, half)))


class Strided(nn.Sequential):
    """Convolution and batch norm; a length n becomes ceil(n / stride). At the paper's sizes the pads are table 4's."""

    def __init__(self, inside: int, outside: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__(nn.Conv2d(inside, outside, kernel, stride, bias=False), nn.BatchNorm2d(outside))
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, ceil(H / stride), ceil(W / stride))."""
        down, across = (
            max((-(-length // stride) - 1) * stride + kernel - length, 0)
            for length, kernel, stride in zip(x.shape[-2:], self.kernel, self.stride, strict=True)
        )
        padded = functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        made: Tensor = self[1](self[0](padded))
        return made


def halving(inside: int, outside: int, kernel: int, factored: bool) -> nn.Sequential:
    """A convolution of stride 2, and a 2x2 max pool of stride 1. (N, inside, n, n) -> (N, outside, n/2, n/2)."""
    if factored and kernel > 3:
        thin = [Strided(inside, outside, (kernel, 1), (2, 1)), Strided(outside, outside, (1, kernel), (1, 2))]
        return nn.Sequential(*thin, Highest())
    return nn.Sequential(Strided(inside, outside, (kernel, kernel), (2, 2)), Highest())


class Highest(nn.Module):
    """Max pool of 2x2 cells at stride 1; the padding of one cell is above and to the left. Shapes are kept."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return functional.max_pool2d(x, 2, 1, 1)[..., :-1, :-1]
