"""Every system of landmarks in training, by its stem."""

from collections.abc import Mapping
from typing import Any

from canthus.errors import RecipeError
from canthus.nets import cascaded_cnn, compact, local_global
from canthus.nets.network import Network, configured

SYSTEMS: dict[str, Mapping[str, Network]] = {
    "cascaded_cnn": cascaded_cnn.NETWORKS,
    "compact": compact.NETWORKS,
    "local_global": local_global.NETWORKS,
}
"""The networks of a system that are trained apart, by the first stage that each of them runs, in order."""


def network_of(stem: str, stage: str = "") -> Network:
    """A network of a system.

    Args:
        stem: A key of `SYSTEMS`.
        stage: Stage that the network begins with; empty = the first one.

    Raises:
        RecipeError: no such system or network.
    """
    if stem not in SYSTEMS:
        raise RecipeError(f"no system is called {stem!r}; there are {', '.join(SYSTEMS)}")
    networks = SYSTEMS[stem]
    if stage and stage not in networks:
        raise RecipeError(f"{stem} trains no network from stage {stage!r} on; it trains {', '.join(networks)}")
    return networks[stage] if stage else next(iter(networks.values()))


def configure(stem: str, preset: str, fields: Mapping[str, Any], points: int, stage: str = "") -> Any:
    """The config of a network.

    Args:
        stem: A key of `SYSTEMS`.
        preset: One of the presets of the network.
        fields: What differs from the preset.
        points: Number of landmarks P.
        stage: Stage that the network begins with; empty = the first one.

    Raises:
        RecipeError: no such system, network, preset or field.
    """
    return configured(network_of(stem, stage).presets, stem, preset, {**fields, "points": points})
