"""Checkpoints of training runs, and torch networks as engines of the shipped code."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from canthus.errors import InputError
from canthus.train.recipe import Start
from canthus.types import Floats
from canthus.work.archive import check_unpacked

_DAMAGED = "not a checkpoint of `canthus train`, or a damaged one; copy it again, or train again"


class TorchBackend:
    """A torch module as a `Backend`."""

    def __init__(self, module: torch.nn.Module, outputs: Sequence[str]) -> None:
        self.module, self.outputs = module, outputs

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`."""
        device = next((parameter.device for parameter in self.module.parameters()), "cpu")
        with torch.no_grad():
            results = self.module(*(torch.from_numpy(array).to(device) for array in inputs))
        return {name: value.float().cpu().numpy() for name, value in zip(self.outputs, results, strict=True)}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint; only tensors and plain values are read, so that a malicious file cannot run code.

    Raises:
        InputError: the file is missing, or not a checkpoint.
    """
    try:
        check_unpacked(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; `canthus train` writes checkpoints") from error
    except Exception as error:  # torch raises errors of any type on damaged bytes
        raise InputError(f"{path}: {_DAMAGED} ({str(error).partition(chr(10))[0]})") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not isinstance(content.get("global_step", 0), int):
        raise InputError(f"{path}: {_DAMAGED}")
    whole: dict[str, Any] = content
    return whole


def steps_of(path: Path) -> int:
    """Number of training steps after which a checkpoint was written; errors as of `read_checkpoint`."""
    return int(read_checkpoint(path).get("global_step", 0))


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """Averaged weights of the network in a checkpoint, by their name in the network.

    Raises:
        InputError: the file is missing, or not a checkpoint.
    """
    state: dict[Any, Any] = read_checkpoint(checkpoint)["state_dict"]
    weights = {str(name).removeprefix("net."): value for name, value in state.items() if str(name).startswith("net.")}
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{checkpoint}: {_DAMAGED}")
    return weights


def load_start(net: torch.nn.Module, start: Start) -> None:
    """Load weights of an earlier run into a network.

    Args:
        net: The network.
        start: Names the checkpoint and the modules.

    Raises:
        InputError: there is no such checkpoint or module, or its weights do not fit.
    """
    weights = weights_of(start.checkpoint)
    if start.source:
        dotted = start.source + "."
        weights = {name.removeprefix(dotted): value for name, value in weights.items() if name.startswith(dotted)}
    try:
        net.get_submodule(start.target).load_state_dict(weights)
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        what = f"{start.source or 'the network'} of {start.checkpoint}"
        raise InputError(f"start: {what} does not fit {start.target or 'this network'}: {error}") from error
