"""Weights of an exported network for one in training: the reverse of folding batch norms into convolutions.

In a bundle each batch norm is folded into the convolution before it. Its mean and variance are measured again on
training pictures, so that at first the network computes the same in training as the bundle does. Parameters beside
convolutions and linear layers, such as factors of reliabilities, are not stored by name: they start afresh.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from canthus.errors import BundleError
from canthus.train.task import evaluating

PREFIX, HALF = "net.", ".half"
"""What the names of weights in a bundle have more than those in the network; `.half`: stored in half precision."""


def unfold(net: nn.Module, model: bytes, pictures: Tensor) -> None:
    """Load the weights of an exported network.

    Args:
        net: A network of the same config.
        model: Its ONNX bytes.
        pictures: Training pictures on which the norms are measured. Shape (N, S, S, 3) uint8.

    Raises:
        BundleError: the weights are of another config.
    """
    graph = onnx.load_from_string(model).graph
    weights = {
        tensor.name.removeprefix(PREFIX).removesuffix(HALF): torch.from_numpy(
            numpy_helper.to_array(tensor).astype(np.float32)
        )
        for tensor in graph.initializer
        if tensor.name.startswith(PREFIX)
    }
    folded = dict(_folded(net))
    try:
        with torch.no_grad():
            for name, module in net.named_modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.weight.copy_(weights[f"{name}.weight"])
                    bias = folded[name].bias if module.bias is None else module.bias
                    bias.copy_(weights[f"{name}.bias"])
    except (KeyError, RuntimeError) as error:
        raise BundleError(f"the weights of the bundle do not fit the config of the network: {error}") from error
    _measure(net, list(folded.values()), pictures)


def _folded(net: nn.Module) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    """The batch norm that follows each convolution, by the name of the convolution."""
    for name, parent in net.named_modules():
        if isinstance(parent, nn.Sequential):
            for index, (first, second) in enumerate(pairwise(parent)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield f"{name}.{index}", second


def _measure(net: nn.Module, norms: list[nn.BatchNorm2d], pictures: Tensor) -> None:
    """Set norms that only add their bias so far: measured mean and variance, and the same result."""
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        nn.init.ones_(norm.weight)
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[norm] = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))

    hooks = [norm.register_forward_pre_hook(watch) for norm in norms]
    with evaluating(net), torch.no_grad():
        net(pictures.permute(0, 3, 1, 2).float() / 255 - 0.5)
        for norm in norms:
            mean, variance = seen[norm]
            assert norm.running_mean is not None and norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.add_(mean)
    for hook in hooks:
        hook.remove()
