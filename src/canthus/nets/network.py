"""Every network that can be trained, by the stem of its system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import nn

from canthus.errors import RecipeError
from canthus.nets import cascaded_cnn, compact, local_global
from canthus.nets.part import Part

Config = TypeVar("Config", bound=Any)


@dataclass(frozen=True)
class Network:
    """How a network is made, and what is exported of it.

    Attributes:
        presets: Configs by name: "full" as in the paper, "compact" for two cores, "ablation" for short trials. Every
            config has `points`, `size`, `margin` and `near`; the network keeps its own as `config`.
        build: Config -> network: crops (N, 3, S, S) in -.5 .. .5 -> a prediction that has at least `points`
            (N, P, 2) in crop pixels and `log_spread` (N, P).
        parts: Network and calibration of its log b -> what is exported.
        paper: What it implements.
    """

    presets: Mapping[str, Any]
    build: Callable[[Any], nn.Module]
    parts: Callable[[Any, float], tuple[Part, ...]]
    paper: str


NETWORKS: dict[str, Network] = {
    "cascaded_cnn": Network(
        cascaded_cnn.PRESETS,
        cascaded_cnn.CascadedCnn,
        cascaded_cnn.parts,
        "Mahpod et al., Facial Landmark Point Localization using Coarse-to-Fine Deep Recurrent Neural Network, 2018",
    ),
    "compact": Network(
        compact.PRESETS,
        compact.Compact,
        compact.parts,
        "integral heatmaps: Sun et al., Integral Human Pose Regression, 2018; the network is canthus's own",
    ),
    "local_global": Network(
        local_global.PRESETS,
        local_global.build,
        local_global.parts,
        "Xiong, Li and Sun, Combining Local and Global Features for 3D Face Tracking, 2017",
    ),
}


def configure(stem: str, preset: str, fields: Mapping[str, Any], points: int) -> Any:
    """The config of a network.

    Args:
        stem: A key of `NETWORKS`.
        preset: One of its presets.
        fields: What differs from the preset.
        points: Landmarks P.

    Raises:
        RecipeError: no such preset or field.
    """
    return configured(NETWORKS[stem].presets, stem, preset, {**fields, "points": points})


def configured(presets: Mapping[str, Config], stem: str, preset: str, fields: Mapping[str, Any]) -> Config:
    """One of the configs of a network with some fields changed, as `configure`."""
    if preset not in presets:
        raise RecipeError(f"{stem} has no preset {preset!r}; there are {', '.join(presets)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return replace(presets[preset], **values)
    except TypeError as error:
        raise RecipeError(f"config of {stem}: {error}") from error
