"""The networks of every system of landmarks, by the stem of the system."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from canthus.errors import RecipeError
from canthus.nets import cascaded_cnn, coarse_to_fine, compact, local_global, multi_view, score_guided
from canthus.nets.network import Network, configured
from canthus.schemes.scheme import Scheme

SYSTEMS: dict[str, Mapping[str, Network]] = {
    "cascaded_cnn": cascaded_cnn.NETWORKS,
    "coarse_to_fine": coarse_to_fine.NETWORKS,
    "compact": compact.NETWORKS,
    "local_global": local_global.NETWORKS,
    "multi_view": multi_view.NETWORKS,
    "score_guided": score_guided.NETWORKS,
}
"""For each system the networks that are trained separately, by the first stage of each, in their order."""


def network_of(stem: str, stage: str = "") -> Network:
    """A network of a system.

    Args:
        stem: A key of `SYSTEMS`.
        stage: First stage of the network; empty = the first stage of the system.

    Raises:
        RecipeError: no such system or network.
    """
    if stem not in SYSTEMS:
        raise RecipeError(f"there is no system {stem!r}; there are {', '.join(SYSTEMS)}")
    networks = SYSTEMS[stem]
    if stage and stage not in networks:
        raise RecipeError(f"{stem} has no network that begins with stage {stage!r}, only with {', '.join(networks)}")
    return networks[stage] if stage else next(iter(networks.values()))


def configure(stem: str, preset: str, fields: Mapping[str, Any], scheme: str, stage: str = "") -> Any:
    """The config of a network.

    Args:
        stem: A key of `SYSTEMS`.
        preset: One of the presets of the network.
        fields: Fields that differ from the preset.
        scheme: Name of the scheme of the landmarks.
        stage: First stage of the network; empty = the first stage of the system.

    Raises:
        RecipeError: no such system, network, preset or field.
    """
    network = network_of(stem, stage)
    config = configured(network.presets, stem, preset, {**fields, "points": Scheme.open(scheme).count})
    return replace(config, scheme=scheme) if hasattr(config, "scheme") else config
