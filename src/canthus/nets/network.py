"""How training and export see a network, and how its config is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from canthus.errors import RecipeError
from canthus.geometry.crop import unit_mean
from canthus.nets.losses import Losses, Target
from canthus.nets.part import Part
from canthus.types import Floats

Config = TypeVar("Config", bound=Any)


class Labels(NamedTuple):
    """Labels of the training faces, in pixels of their pictures; NaN = not known.

    Attributes:
        points: Shape (L, P, 2).
        depth: Third coordinate. Shape (L, P).
        pose: Yaw, pitch, roll in degrees. Shape (L, 3).
        scheme: Name of the scheme of the points.
    """

    points: Floats
    depth: Floats
    pose: Floats
    scheme: str


def no_arrays(labels: Labels, config: Any) -> dict[str, NDArray[Any]]:
    """The arrays of a network that needs none: an empty mapping."""
    return {}


class Several(NamedTuple):
    """The crops of a face that a stage sees, where there are several: some for each of its U units, as components.

    Attributes:
        partners: Unit that the mirror image of each unit shows. Shape (U,).
        together: Number of consecutive crops of a unit, which training cuts from the same face with the same jitter.
    """

    partners: NDArray[np.int64]
    together: int = 1


def one_crop(scheme: str) -> Several:
    """One crop a face."""
    return Several(np.zeros(1, np.int64))


def nothing_to_fill(net: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Leave a new network as it is."""


@dataclass(frozen=True)
class Network:
    """How a network is made, trained and exported.

    Attributes:
        presets: Configs by name: "full" as in the paper, "compact" for two cores, "ablation" for short trials. Every
            config has `points`, `size`, `margin` and `near`, and `scheme` where it depends on more than the number of
            points; the network keeps its own as `config`.
        build: Config -> network: crops (N, 3, S, S) in -.5 .. .5 -> a prediction that has at least `points`
            (N, P, 2) in crop pixels, NaN where a crop does not show the point, and `log_spread` (N, P). Where a stage
            sees several crops of a face, they come in the order of `View.around`.
        parts: Network and shift of its log b -> the parts that are exported; the first one belongs to its first stage.
        loss: Prediction, truth and the recipe's settings -> weighted losses by name, each (N,).
        paper: Publication that it implements.
        losses: Settings of its losses in recipes; a subclass of `Losses` adds fields.
        arrays: Labels of the training faces and config -> constant arrays that its stages need, by name.
        given: Scheme of the points from which its first stage starts, which the loader also gives; the points of a
            profile take their slots in it. Empty = that of its own points.
        mean: Those points of the training faces (L, Q, 2) -> the mean shape to which `crop: shape` aligns crops.
        several: Name of the scheme -> the crops of a face.
        fill: Writes what the arrays say into the buffers of a new network.
    """

    presets: Mapping[str, Any]
    build: Callable[[Any], nn.Module]
    parts: Callable[[Any, float], tuple[Part, ...]]
    loss: Callable[[Any, Target, Any], dict[str, Tensor]]
    paper: str
    losses: type[Losses] = Losses
    arrays: Callable[[Labels, Any], dict[str, NDArray[Any]]] = no_arrays
    given: str = ""
    mean: Callable[[NDArray[Any]], NDArray[Any]] = unit_mean
    several: Callable[[str], Several] = one_crop
    fill: Callable[[Any, Mapping[str, NDArray[Any]]], None] = nothing_to_fill


@dataclass(frozen=True)
class DetectionNetwork:
    """How a network that finds or judges faces is made, trained and exported.

    Attributes:
        presets: Configs by name; the network keeps its own as `config`.
        build: Config -> network.
        parts: Network -> the one part that is exported.
        loss: Output of the network, a batch and the recipe's settings -> weighted losses by name, scalars.
        paper: Publication that it implements.
        open_size: Whether it takes pictures of any height and width that are multiples of 32.
    """

    presets: Mapping[str, Any]
    build: Callable[[Any], nn.Module]
    parts: Callable[[Any], tuple[Part, ...]]
    loss: Callable[[Any, Mapping[str, Tensor], Any], dict[str, Tensor]]
    paper: str
    open_size: bool = False


def configured(presets: Mapping[str, Config], stem: str, preset: str, fields: Mapping[str, Any]) -> Config:
    """A preset config of a network with some fields changed.

    Args:
        presets: Configs by name.
        stem: Stem of the network, for errors.
        preset: A key of `presets`.
        fields: Fields that differ from the preset.

    Raises:
        RecipeError: no such preset or field.
    """
    if preset not in presets:
        raise RecipeError(f"{stem} has no preset {preset!r}; there are {', '.join(presets)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return replace(presets[preset], **values)
    except TypeError as error:
        raise RecipeError(f"config of {stem}: {error}") from error
