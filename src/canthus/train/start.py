"""The weights of earlier runs from which a run starts."""

from collections.abc import Sequence

from torch import Tensor, nn

from canthus.errors import BundleError
from canthus.runtime.bundle import Bundle, named_bundle
from canthus.train.checkpoint import load_start
from canthus.train.recipe import Start
from canthus.train.unfold import unfold


def begin(net: nn.Module, starts: Sequence[Start], pictures: Tensor) -> None:
    """Load the weights that a run starts from.

    Args:
        net: The network, with random weights.
        starts: Checkpoints and bundles, in order.
        pictures: Training pictures on which the norms of a network from a bundle are measured. Shape (N, S, S, 3),
            uint8.

    Raises:
        BundleError: a bundle is missing or damaged, has several networks, or its weights do not fit.
        InputError: a checkpoint is missing or damaged, or its weights do not fit.
    """
    for start in starts:
        if not start.is_bundle:
            load_start(net, start)
            continue
        path = named_bundle(start.checkpoint)
        bundle = Bundle.open(path)
        if len(bundle.card.parts) != 1:
            raise BundleError(f"{path}: has the networks {', '.join(bundle.card.parts)}; a run starts from one of one")
        unfold(net, bundle.network(next(iter(bundle.card.parts))), pictures, start.source, start.target)


def freeze(net: nn.Module, starts: Sequence[Start]) -> None:
    """Keep modules whose learning rate is 0 as they are: no gradient, and norms in evaluation mode."""
    for start in starts:
        if start.rate == 0:
            net.get_submodule(start.target).requires_grad_(False).eval()
