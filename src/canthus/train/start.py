"""The weights of earlier runs from which a run starts."""

from collections.abc import Sequence

from torch import Tensor, nn

from canthus.runtime.bundle import open_system
from canthus.train.checkpoint import load_start
from canthus.train.recipe import BUNDLE, Start
from canthus.train.unfold import unfold


def begin(net: nn.Module, starts: Sequence[Start], system: str, part: str, pictures: Tensor) -> None:
    """Load the weights that a run starts from.

    Args:
        net: The network, with random weights.
        starts: Checkpoints and bundles, in order.
        system: Name of the system in a bundle.
        part: Name of the network in a bundle.
        pictures: Training pictures on which the norms of a network from a bundle are measured. Shape (N, S, S, 3),
            uint8.

    Raises:
        BundleError: a bundle is missing or damaged, holds another system, or its weights do not fit.
        InputError: a checkpoint is missing or damaged, or its weights do not fit.
    """
    for start in starts:
        if start.checkpoint.suffix == BUNDLE:
            unfold(net, open_system(system, start.checkpoint).network(part), pictures)
        else:
            load_start(net, start)
