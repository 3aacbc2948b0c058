"""Training runs of the detector and of the face score, made ready for `fit`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from canthus.errors import RecipeError
from canthus.nets.detection.networks import configure
from canthus.train.detection.backdrops import load_faceless, make_backdrops
from canthus.train.detection.crops import CropMaker
from canthus.train.detection.loader import CropBatches, Endless, SceneBatches
from canthus.train.detection.mining import Bank, Miner
from canthus.train.detection.pool import load_faces
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe, solid_of
from canthus.train.detection.scenes import Scene, SceneMaker
from canthus.train.detection.task import ANGLES, DetectorTask, FaceScoreTask
from canthus.train.job import Job, Post
from canthus.train.recipe import Augment
from canthus.train.start import begin, freeze
from canthus.types import Image

BUILD, VALIDATION = 2**31, 2**31 + 1
"""Positions in the sequence of random numbers of a seed, beyond any step: for the backdrops, and for validation."""
PLAIN = Augment(flip=0, light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0, stretch=1)
"""Augmentation of the pictures of validation: none."""


def detector(recipe: DetectorRecipe, post: Post) -> Job:
    """A run of the detector; its best checkpoint has the highest average precision, mean over the rotations.

    Raises:
        BundleError: `hide` is no bundle of a detector.
        DataError: a set is missing or incomplete.
        RecipeError: the network has no such config.
    """
    side = max(phase.size for phase in recipe.phases)
    config = configure(recipe.network, recipe.preset, recipe.config)
    pool = load_faces(recipe.sets, post.root, recipe.scenes.memory, recipe.hide, solid_of(recipe, post.root))
    rng = np.random.default_rng((recipe.seed, BUILD, post.process))
    backdrops = make_backdrops(pool, recipe.scenes.backdrops, side + side // 8, rng)
    maker = SceneMaker(pool, backdrops, recipe.scenes, recipe.augment, load_faceless(recipe.faceless, post.root))
    bank = Bank(post.out, post.process, recipe.mining.every)
    batches = SceneBatches(maker, recipe, post.process, bank)
    task = DetectorTask(recipe, config, *validation(recipe, post))
    if recipe.start and not post.first:
        begin(task.net, recipe.start, batches.batch(0)["pictures"])
    freeze(task.net, recipe.start)
    stream = Endless(batches, post.first)
    return Job(task, stream, "val/ap", "max", "5", callbacks=[Miner(maker, recipe, bank)])


def validation(recipe: DetectorRecipe, post: Post) -> tuple[Mapping[int, list[Scene]], list[Image]]:
    """The same mosaics of the validation sets at every rotation, and pictures without a face.

    The latter are the photographs of `val_faceless` as they are, or else backdrops of the photographs of faces.
    """
    side = recipe.phases[-1].size
    pool = load_faces(recipe.val, post.root, recipe.scenes.memory, recipe.hide, solid_of(recipe, post.root))
    count = recipe.val_pictures
    backdrops = make_backdrops(pool, max(count, 8), side + side // 8, np.random.default_rng((recipe.seed, VALIDATION)))
    photographs = load_faceless(recipe.val_faceless, post.root)
    maker = SceneMaker(pool, backdrops, recipe.scenes, PLAIN, photographs)
    scenes = {}
    for angle in ANGLES:
        rng = np.random.default_rng((recipe.seed, VALIDATION, 1))
        scenes[angle] = [maker.scene(side, rng, angle) for _ in range(count)]
    rng = np.random.default_rng((recipe.seed, VALIDATION, 2))
    return scenes, photographs or [maker.empty(side, rng) for _ in range(count)]


def face_score(recipe: FaceScoreRecipe, post: Post) -> Job:
    """A run of the face score; its best checkpoint has the largest area under the ROC curve.

    Raises:
        BundleError: `hide` is no bundle of a detector.
        DataError: a set is missing or incomplete.
        RecipeError: the network has no such config, or the phases are not one of its size.
    """
    config = configure(recipe.network, recipe.preset, recipe.config)
    if {phase.size for phase in recipe.phases} != {config.size}:
        raise RecipeError(f"phases: the face score sees crops of {config.size} pixels, in one phase of that size")
    rng = np.random.default_rng((recipe.seed, BUILD, post.process))
    batches = CropBatches(_crops(recipe, post, config, rng, val=False), recipe, post.process)
    rng = np.random.default_rng((recipe.seed, VALIDATION))
    other = _crops(recipe, post, config, rng, val=True)
    makers = {"around": other.around, "beside": other.beside, "background": other.background}
    val = {kind: [make(rng) for _ in range(recipe.val_crops)] for kind, make in makers.items()}
    task = FaceScoreTask(recipe, config, val)
    if recipe.start and not post.first:
        begin(task.net, recipe.start, batches.batch(0)["crops"])
    freeze(task.net, recipe.start)
    return Job(task, Endless(batches, post.first), "val/auc", "max", "5")


def _crops(recipe: FaceScoreRecipe, post: Post, config: Any, rng: np.random.Generator, *, val: bool) -> CropMaker:
    """Maker of crops of the training sets, or of the validation sets."""
    pool = load_faces(recipe.val if val else recipe.sets, post.root, recipe.memory, recipe.hide)
    return CropMaker(pool, make_backdrops(pool, recipe.backdrops, 3 * config.size, rng), config, recipe)
