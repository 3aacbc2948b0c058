"""A part of a network, as it is exported."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, eq=False)
class Part:
    """A network in a bundle. The parts of a stage run in order; outputs are inputs of later parts with the same name.

    Attributes:
        name: Name in the bundle, unique in the system.
        module: Tensors in the order of `inputs` -> tensors in the order of `outputs`, each with N rows.
        inputs: Names of the inputs; the first part takes "crops", (N, S, S, 3) uint8 RGB.
        outputs: Names of the outputs.
        stage: Name of the stage in `align/` that runs it.
    """

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    stage: str = "landmarks"
