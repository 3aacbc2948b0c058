"""Training runs of networks of landmarks, made ready for `fit`."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from canthus.align.stage import System
from canthus.errors import DataError, RecipeError
from canthus.nets.network import Labels
from canthus.nets.systems import configure, network_of
from canthus.schemes.scheme import Scheme
from canthus.train.job import Job, Post
from canthus.train.landmarks.canvas import Canvas
from canthus.train.landmarks.loader import Pictures, Stream
from canthus.train.landmarks.pool import Pool, frames_of, load_pool, measured_faces, real_points
from canthus.train.landmarks.system import Trained, join, open_trained
from canthus.train.landmarks.task import Task
from canthus.train.recipe import Recipe
from canthus.train.start import begin, freeze


def landmarks(recipe: Recipe, post: Post) -> Job:
    """A run of a network of landmarks; its best checkpoint has the smallest error in validation.

    Raises:
        DataError: a set is missing or incomplete, or the sets have different schemes and the recipe names none.
        BundleError: a bundle that it starts from cannot be used.
        InputError: a checkpoint that the recipe names cannot be used.
        RecipeError: the network has no such config, its teacher does not fit it, or its scheme has no such `measure`.
    """
    margin = configure(recipe.network, recipe.preset, recipe.config, "68", recipe.stage).margin
    pool = load_pool(recipe, post.root, margin, teacher_of(recipe))
    _check_measure(recipe, Scheme.open(pool.scheme))
    trained = build(recipe, pool.scheme, arrays_of(recipe, pool))
    earlier = earlier_of(recipe.earlier)
    stage = join([trained]).stages[0]
    frames = frames_of(pool, stage, pool.given)
    real = frames_of(pool, stage, real_points(pool, earlier)) if earlier is not None and recipe.real > 0 else None
    cutter = Canvas(pool.images, torch.device("cuda", post.local)) if recipe.on_gpu else Pictures(pool)
    stream = Stream(pool, recipe, frames, margin, real=real, process=post.process, first=post.first, cutter=cutter)
    if recipe.start and not post.first:
        begin(trained.net, recipe.start, stream.batch(0)["crops"].cpu())
    freeze(trained.net, recipe.start)
    val = {share.name: measured_faces(share, post.root, pool.scheme, trained.network.given) for share in recipe.val}
    for share in recipe.val:
        if not val[share.name][0]:
            raise DataError(
                f"{share.name} {share.split}: no face has landmarks to measure on; name another set in `val`"
            )
    samples = {name: faces for name, (faces, _) in val.items()}
    given = {name: points for name, (_, points) in val.items()}
    task = Task(trained, samples, earlier, given)
    return Job(task, stream, "val/nme", "min", trained.scheme, trained.arrays, facts_of(pool, recipe))


def _check_measure(recipe: Recipe, scheme: Scheme) -> None:
    """Refuse a normaliser that the first validation would not find."""
    if recipe.measure != "box" and recipe.measure not in scheme.normalisers:
        raise RecipeError(
            f"measure: scheme {scheme.name} has no {recipe.measure} distance; set `measure: box`, or add the"
            " distance to `normalisers` in the file of an own scheme"
        )


def build(recipe: Recipe, scheme: str, arrays: dict[str, NDArray[Any]]) -> Trained:
    """The network of a recipe with random weights.

    Args:
        recipe: The recipe.
        scheme: Name of the scheme of the network's points.
        arrays: Constant arrays that its stages need, by name.

    Raises:
        RecipeError: the network has no such config.
    """
    config = configure(recipe.network, recipe.preset, recipe.config, scheme, recipe.stage)
    network = network_of(recipe.network, recipe.stage)
    net = network.build(config)
    network.fill(net, arrays)
    return Trained(net, recipe, scheme, arrays)


def teacher_of(recipe: Recipe) -> Trained | None:
    """The teacher of a recipe; None = there is none.

    Raises:
        BundleError: its bundle cannot be used.
        InputError: its checkpoint cannot be used.
        RecipeError: it has another scheme than the recipe.
    """
    if recipe.teacher is None:
        return None
    teacher = open_trained(recipe.teacher.checkpoint)
    if teacher.scheme != recipe.scheme:
        raise RecipeError(
            f"teacher: {recipe.teacher.checkpoint} has the scheme {teacher.scheme}; set `scheme` to the same"
        )
    return teacher


def arrays_of(recipe: Recipe, pool: Pool) -> dict[str, NDArray[Any]]:
    """Constant arrays of the network by name, computed from the labels of the training faces."""
    config = configure(recipe.network, recipe.preset, recipe.config, pool.scheme, recipe.stage)
    network = network_of(recipe.network, recipe.stage)
    arrays = network.arrays(Labels(pool.points, pool.depth, pool.pose, pool.scheme), config)
    if recipe.crop == "shape" and "mean" not in arrays:
        arrays = arrays | {"mean": network.mean(pool.given if network.given else pool.points).round(4)}
    return arrays


def earlier_of(checkpoints: list[Path]) -> System | None:
    """The stages before those of the trained network, of the same system or another; None = there are none.

    Raises:
        BundleError: a bundle cannot be used.
        InputError: a checkpoint cannot be used.
    """
    return join([open_trained(path) for path in checkpoints]) if checkpoints else None


def facts_of(pool: Pool, recipe: Recipe) -> dict[str, float]:
    """Facts about the training faces for the card, from which export derives the limits of a model.

    Returns:
        "count", the number of faces; the shares of faces as they are drawn whose yaw is known, above 30 and above 60
        degrees, and of those with labelled hidden points; "rotation, degrees", the largest rotation of augmentation.
    """
    yaw = np.abs(pool.pose[:, 0])
    known = np.isfinite(yaw)
    hidden = ((pool.visible == 0) & np.isfinite(pool.points).all(-1)).any(1)
    return {
        "count": float(len(pool.images)),
        "yaw known": float(pool.chance[known].sum()),
        "yaw over 30": float(pool.chance[known & (yaw > 30)].sum()),
        "yaw over 60": float(pool.chance[known & (yaw > 60)].sum()),
        "hidden points labelled": float(pool.chance[hidden].sum()),
        "rotation, degrees": recipe.augment.largest_rotation,
    }
