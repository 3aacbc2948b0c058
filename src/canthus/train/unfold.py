"""Weights of an exported network for one in training: the reverse of folding batch norms into convolutions.

In a bundle each batch norm is folded into the convolution before it. Its mean and variance are measured again on
training pictures, so that at first the network computes the same in training as the bundle does.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from canthus.errors import BundleError
from canthus.runtime.external import refuse_external
from canthus.train.task import evaluating

PREFIX, HALF = "net.", ".half"
"""What the names of weights in a bundle have more than those in the network; `.half`: stored in half precision."""


def unfold(net: nn.Module, model: bytes, pictures: Tensor | None = None, source: str = "", target: str = "") -> None:
    """Load the weights of an exported network.

    Args:
        net: A network.
        model: ONNX bytes of a network of the same config, or whose `source` has the config of `target`.
        pictures: Training pictures on which the norms are measured; None = they stay as they were folded, for a network
            that is not trained on. Shape (N, S, S, 3) uint8.
        source: Module of the exported network whose weights are taken, as "trunk"; empty = the whole network.
        target: Module of this network that they are loaded into; empty = the whole network.

    Raises:
        BundleError: the weights do not fit.
    """
    weights = _weights(model, f"{PREFIX}{source}." if source else PREFIX)
    try:
        part = net.get_submodule(target)
        folded = dict(_folded(part))
        with torch.no_grad():
            for name, module in part.named_modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.weight.copy_(weights[f"{name}.weight"])
                    bias = folded[name].bias if module.bias is None else module.bias
                    bias.copy_(weights[f"{name}.bias"])
            for name, parameter in part.named_parameters():
                if parameter.ndim == 1 and name in weights:
                    parameter.copy_(weights[name])
    except (AttributeError, KeyError, RuntimeError) as error:
        what = f"{source or 'the network'} of the bundle does not fit {target or 'this network'}"
        raise BundleError(f"{what}; was the bundle made by an older version?: {error}") from error
    _plain(folded.values())
    if pictures is not None:
        _measure(net, list(folded.values()), pictures)


def _weights(model: bytes, prefix: str) -> dict[str, Tensor]:
    """The weights of ONNX bytes whose names start with a prefix, by the rest of their names."""
    refuse_external(model)
    try:
        tensors = list(onnx.load_from_string(model).graph.initializer)
    except Exception as error:  # the parser of onnx has errors of its own
        raise BundleError(f"the network of the bundle is damaged: {error}; fetch the bundle again") from error
    return {
        tensor.name.removeprefix(prefix).removesuffix(HALF): torch.from_numpy(
            numpy_helper.to_array(tensor).astype(np.float32)
        )
        for tensor in tensors
        if tensor.name.startswith(prefix)
    }


def _folded(net: nn.Module) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    """The batch norm that follows each convolution, by the name of the convolution."""
    for name, parent in net.named_modules():
        if isinstance(parent, nn.Sequential):
            for index, (first, second) in enumerate(pairwise(parent)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield f"{name}.{index}", second


def _plain(norms: Iterable[nn.BatchNorm2d]) -> None:
    """Set norms that only add their bias."""
    for norm in norms:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        nn.init.ones_(norm.weight)


def _measure(net: nn.Module, norms: list[nn.BatchNorm2d], pictures: Tensor) -> None:
    """Set norms that only add their bias so far: measured mean and variance, and the same result."""
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
