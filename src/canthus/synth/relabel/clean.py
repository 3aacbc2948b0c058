"""Clean the labels of a data set: read the priors, choose weights where none are given, blend, limit the moves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from canthus.errors import SchemeError, ShapeError
from canthus.face3d.fit import FitOptions
from canthus.face3d.table import Faces2D, FitJob
from canthus.geometry.crop import box_of
from canthus.schemes.scheme import Scheme
from canthus.synth.faces import open_fits
from canthus.synth.relabel.denoise import (
    BiasOf,
    Choice,
    Cleaned,
    Doubles,
    Estimates,
    Weights,
    blend,
    frames,
    limited,
    point_weights,
    with_bias_of,
)
from canthus.synth.relabel.priors import Prior, Rehearsal, fitted
from canthus.work.folder import digest


@dataclass(frozen=True)
class GoodSet:
    """A well-labelled set on which weights are chosen, and what is known of the noise of the labels to be cleaned.

    Attributes:
        fits: Table of `canthus synth fit` of the good set.
        pictures: Folder of the good set.
        face_model: File of the face model.
        label_noise: Mean error of the noisy labels by group, over the inter-ocular distance.
        landmarks: File of landmark vertices; None = landmarks.json beside the face model.
        noise: Label noise that the fits of the noisy set assume (`FitOptions.noise`).
    """

    fits: Path
    pictures: Path
    face_model: Path
    label_noise: Mapping[str, float]
    landmarks: Path | None = None
    noise: float = FitOptions.noise


@dataclass(frozen=True)
class Cleaning:
    """How labels are cleaned.

    Attributes:
        fits: Table of `canthus synth fit` of the labels.
        pictures: Folder of their set.
        network: Bundle of a network trained on other, good labels; None = no network.
        weights: Weights of label, fit and net by group; empty = chosen on `good`.
        good: What weights are chosen on.
        bias_of: Annotation bias of the result: that of the labels, or that of the network.
        most: Largest move of a point, over the inter-ocular distance.
    """

    fits: Path
    pictures: Path
    network: Path | None = None
    weights: Weights = field(default_factory=dict)
    good: GoodSet | None = None
    bias_of: BiasOf = "labels"
    most: float = 0.15

    def __post_init__(self) -> None:
        if bool(self.weights) == (self.good is not None):
            raise ShapeError("labels are blended with given weights, or with weights chosen on a good set: give one")
        if self.network is None and (self.good or any(shares[2] for shares in self.weights.values())):
            raise ShapeError("a weight of the net, or a choice of weights, needs a network")

    def settings(self) -> dict[str, Any]:
        """What the result depends on beside the labels, for JSON."""
        settings = {"fits": digest(self.fits), "bias_of": self.bias_of, "max_move": self.most}
        settings["network"] = digest(self.network) if self.network else None
        if self.good:
            settings |= {"chosen_on": digest(self.good.fits), "label_noise": dict(self.good.label_noise)}
        return settings


def clean(
    faces: Faces2D, cleaning: Cleaning, tick: Callable[[int], None] | None = None
) -> tuple[Cleaned, Weights, Choice | None]:
    """Blend each label with the fitted face model and the prediction of a network.

        >>> faces, pictures = open_faces("ytf68", root, "train"), root / "ytf68"
        >>> half = (0.5, 0.5, 0.0)
        >>> cleaning = Cleaning(Path("ytf68-train.npz"), pictures, weights={"contour": half, "inner": half})
        >>> cleaned, weights, _ = clean(faces, cleaning)
        >>> settings = {**cleaning.settings(), "weights": weights}
        >>> write_labels(root / "ytf68_clean", "train", faces, pictures, cleaned, settings)

    Args:
        faces: The labels.
        cleaning: How to clean them.
        tick: Receives the number of faces that the network has predicted, as they are.

    Returns:
        The new labels, the weights, and how these were chosen.

    Raises:
        ShapeError: the weights are not those of the scheme, or the noise cannot be as large as given.
        SchemeError: the table, the network or the good set are of another scheme.
        InputError: a file is missing, or is not what it should be.
    """
    scheme = Scheme.open(faces.scheme)
    weights, choice, prior = cleaning.weights, None, None
    if weights:
        point_weights(weights, scheme)
    fit, unit = fitted(open_fits(cleaning.fits, cleaning.pictures), faces)
    net = np.full_like(faces.points, np.nan)
    if cleaning.network is not None:
        prior = Prior.open(cleaning.network, scheme.name)
        net = prior.points([cleaning.pictures / name for name in faces.images], faces.points, tick)
    estimates, axes = Estimates(faces.points, fit, net), frames(faces.points, unit, scheme)
    if cleaning.good is not None and prior is not None:
        choice = _choose(cleaning.good, prior, estimates, axes, scheme)
        weights = choice.weights
    same = with_bias_of(estimates, axes, scheme, cleaning.bias_of)
    return limited(same.label, blend(same, point_weights(weights, scheme)), unit, cleaning.most), weights, choice


def _choose(good: GoodSet, prior: Prior, noisy: Estimates, axes: Doubles, scheme: Scheme) -> Choice:
    """The weights that are best on the good set, seen by the network as small as the noisy one."""
    table = open_fits(good.fits, good.pictures)
    if table.scheme != scheme.name:
        raise SchemeError(f"{good.fits}: fits of scheme {table.scheme}, the labels are of scheme {scheme.name}")
    bias = b"" if table.bias is None else table.bias.astype(np.float64).tobytes()
    options = FitOptions(noise=good.noise)
    fitter = FitJob(good.face_model, good.landmarks, scheme.name, True, options, bias).fitter()
    boxes = box_of(noisy.label)
    small = replace(prior, size=float(np.median((boxes[:, 2:] - boxes[:, :2]).max(1))))
    return Rehearsal(table, fitter, small, good.label_noise).choose(noisy, axes)
