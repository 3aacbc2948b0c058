"""Recipes of training runs: YAML files whose fields are checked, with overrides `a.b=c`."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, create_model, field_validator, model_validator

from canthus.errors import RecipeError
from canthus.nets.losses import Losses
from canthus.nets.settings import Number, Strict
from canthus.nets.systems import SYSTEMS, network_of
from canthus.schemes.definition import Definition
from canthus.train.own_schemes import define, with_definitions
from canthus.train.tree import check


class SetShare(Strict):
    """One of the data sets that are mixed for training.

    Attributes:
        name: Name in the catalogue, as "wild68".
        split: Part of the set, as "train" or "val".
        weight: Share of the training samples that are drawn from it, relative to the weights of the other sets.
        trust: Weight of its faces in the losses, relative to a set with exact labels; below 1 for noisy labels.
        options: Options of the reader of the set, as {scheme: "84", labels: 3d}.
        given: Options with which the reader gives the points by which crops are cut, where those are not the labels;
            with `crop: shape`.
        taught: Factor on the weight of the teacher's answers for its faces; 0 = labels alone.
        origin: Name of the set that a packed one was made of; empty = it is not packed.
        union: Whether profile points take the slots of their nearest frontal points (multi_view, figure 3), instead of
            being converted to the scheme of the network by position.
    """

    name: str
    split: str = "train"
    weight: Number = Field(1.0, gt=0)
    trust: Number = Field(1.0, gt=0, le=1)
    options: dict[str, str] = Field(default_factory=dict)
    given: dict[str, str] = Field(default_factory=dict)
    taught: Number = Field(1.0, ge=0, le=1)
    origin: str = ""
    union: bool = False

    @property
    def source(self) -> str:
        """Name of the set in the catalogue, also where it is packed."""
        return self.origin or self.name


class Start(Strict):
    """Weights of an earlier run from which a run starts.

    Attributes:
        checkpoint: `best.ckpt` or `last.ckpt` of the earlier run, or a bundle of one network: its file or its name.
        source: Module of the earlier network whose weights are taken, as "trunk"; empty = the whole network.
        target: Module of this network that they are loaded into; empty = the whole network.
        rate: Learning rate of these weights over that of the recipe; 0 = they stay as they are.
    """

    checkpoint: Path
    source: str = ""
    target: str = ""
    rate: Number = Field(1.0, ge=0, le=1)

    @property
    def is_bundle(self) -> bool:
        """Whether the weights are those of a bundle."""
        return self.checkpoint.suffix in ("", ".canthus")


class Augment(Strict):
    """Augmentation of the samples.

    Attributes:
        rotation: In-plane rotation in degrees: its standard deviation, or its largest value under the law "uniform".
        rotation_law: Law of the rotation: "normal", clipped at three standard deviations, or "uniform".
        scale: Largest factor by which the box grows, drawn log-uniformly between growth and shrinkage.
        scale_down: Largest factor by which the box shrinks; None = the same as `scale`.
        shift: Standard deviation of the shift of the box, over its longer side, clipped at three standard deviations.
        stretch: Largest factor by which one axis is stretched against the other, drawn log-uniformly.
        flip: Probability of the mirror image.
        light: Strength of the changes of brightness, contrast, gamma and white balance, 0..1.
        grey: Probability of a grey picture.
        blur: Probability of Gaussian or motion blur.
        shrink: Probability of scaling down to a fraction of the size and up again.
        jpeg: Probability of strong JPEG compression.
        noise: Probability of sensor noise.
        occlude: Probability of a patch that covers part of the face.
    """

    rotation: Number = Field(15.0, ge=0)
    rotation_law: Literal["normal", "uniform"] = "normal"
    scale: Number = Field(1.25, ge=1)
    scale_down: Number | None = Field(None, ge=1)
    shift: Number = Field(0.05, ge=0)
    stretch: Number = Field(1.06, ge=1)
    flip: Number = Field(0.5, ge=0, le=1)
    light: Number = Field(0.5, ge=0, le=1)
    grey: Number = Field(0.1, ge=0, le=1)
    blur: Number = Field(0.15, ge=0, le=1)
    shrink: Number = Field(0.2, ge=0, le=1)
    jpeg: Number = Field(0.15, ge=0, le=1)
    noise: Number = Field(0.1, ge=0, le=1)
    occlude: Number = Field(0.3, ge=0, le=1)

    @property
    def largest_rotation(self) -> float:
        """Largest in-plane rotation in degrees."""
        return self.rotation * (1 if self.rotation_law == "uniform" else 3)


class Drop(Strict):
    """A step of the learning rate.

    Attributes:
        share: Share of the steps of the run after which it applies.
        factor: Learning rate from there on, over the largest.
    """

    share: Number = Field(ge=0, lt=1)
    factor: Number = Field(gt=0)


class Optimiser(Strict):
    """Optimiser and learning rates: linear warm-up, then a cosine to zero, or steps.

    Attributes:
        kind: "adamw", "rmsprop", or "sgd" with momentum .9.
        rate: Largest learning rate.
        drops: Steps of the learning rate, in order; none = a cosine to zero.
        decay: Weight decay.
        warmup: Share of the steps of the run in which the learning rate rises.
        clip: Largest norm of the gradient; larger gradients are scaled down to it; 0 = no limit.
        ema: Decay of the exponential moving average of the weights.
    """

    kind: Literal["adamw", "rmsprop", "sgd"] = "adamw"
    rate: Number = Field(2.5e-3, gt=0)
    drops: list[Drop] = Field(default_factory=list)
    decay: Number = Field(0.02, ge=0)
    warmup: Number = Field(0.03, ge=0, lt=1)
    clip: Number = Field(5.0, ge=0)
    ema: Number = Field(0.998, ge=0, lt=1)


class Phase(Strict):
    """A part of the run in which the pictures have one size.

    Attributes:
        share: Share of the steps of the run.
        size: Side of the pictures or crops in pixels, a multiple of 16.
    """

    share: Number = Field(gt=0, le=1)
    size: int = Field(gt=0, multiple_of=16)


class Run(Strict):
    """Recipe of any training run.

    Attributes:
        name: Name of the run and of the bundle made from it.
        network: Stem of the network in `nets/`.
        preset: Config of the network: "full" = the paper's size, "compact" for two cores, "ablation" for short trials.
        config: Fields of the config that differ from the preset.
        start: Weights of earlier runs that this one starts from; all other weights are random.
        sets: Training data: a mixture of data sets.
        val: Validation data; the first set decides between checkpoints.
        augment: Augmentation of the training samples.
        optimiser: Optimiser and learning rates.
        phases: Sizes of the pictures over the run; their shares add up to 1.
        steps: Number of optimiser steps.
        batch: Number of samples per step and process; where a network sees several crops of a face, of each of them.
        processes: Number of processes that train together on each machine (one thread each on a CPU).
        nodes: Number of machines that train together (docs/cluster.md).
        workers: Number of further processes that prepare the batches of each process; 0 = none: then a GPU holds the
            pictures of a network of landmarks and prepares its batches by itself, several times as fast.
        accelerator: "cpu" or "cuda".
        precision: "bf16-mixed" or "32-true".
        validate_every: Number of steps between validations.
        patience: Number of validations without progress after which the run stops; 0 = it never stops early.
        seed: Seed of all random numbers.
    """

    name: str
    network: str
    preset: str = "compact"
    config: dict[str, Any] = Field(default_factory=dict)
    start: list[Start] = Field(default_factory=list)
    sets: list[SetShare] = Field(min_length=1)
    val: list[SetShare] = Field(min_length=1)
    augment: Augment = Augment()
    optimiser: Optimiser = Optimiser()
    phases: list[Phase] = Field(min_length=1)
    steps: int = Field(gt=0)
    batch: int = Field(48, gt=1)
    processes: int = Field(1, gt=0)
    nodes: int = Field(1, gt=0)
    workers: int = Field(0, ge=0)
    accelerator: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    validate_every: int = Field(1000, gt=0)
    patience: int = Field(0, ge=0)
    seed: int = 0

    @property
    def world(self) -> int:
        """Number of processes that train together on all machines."""
        return self.processes * self.nodes

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU prepares the batches of a network of landmarks."""
        return self.accelerator == "cuda" and self.workers == 0

    def rate_at(self, step: int) -> float:
        """Learning rate at a step, over the largest learning rate."""
        settings = self.optimiser
        warmup = max(1, round(settings.warmup * self.steps))
        if step < warmup:
            return (step + 1) / warmup
        if settings.drops:
            return next((drop.factor for drop in reversed(settings.drops) if step >= drop.share * self.steps), 1.0)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, self.steps - warmup))))

    def size_at(self, step: int) -> int:
        """Side of the pictures at a step."""
        done = 0.0
        for phase in self.phases:
            done += phase.share
            if step < done * self.steps - 1e-6:
                return phase.size
        return self.phases[-1].size


class Distillation(Strict):
    """A trained network from whose answers the network learns, beside the labels.

    Attributes:
        checkpoint: Checkpoint of the teacher, or its bundle as a file or a name ("large"): a network of landmarks with
            the same scheme.
        weight: Weight of the losses against the teacher's answers; those against labels have the rest, 1 - weight.
    """

    checkpoint: Path
    weight: Number = Field(0.5, gt=0, le=1)


class Agreement(Strict):
    """Agreement of a network with itself on a second crop of each face that differs little: points jitter less.

    Attributes:
        weight: Weight of the loss: the distance of the two answers.
        unit: Unit of that loss, and the distance at which it turns linear, over the crop side.
        least: Smallest shift of the second crop over the crop side; the default is a third of a pixel of 96.
        most: Largest shift; shifts are drawn log-uniformly between the two.
        rotation: Largest rotation of the second crop against the first, degrees.
        scale: Largest factor by which it is larger or smaller.
        noise: Standard deviation of the noise that the second crop has and the first has not, in grey levels of 255.
    """

    weight: Number = Field(0.5, gt=0)
    unit: Number = Field(0.006, gt=0)
    least: Number = Field(0.0035, gt=0)
    most: Number = Field(0.05, gt=0, le=0.5)
    rotation: Number = Field(2.0, ge=0)
    scale: Number = Field(1.03, ge=1)
    noise: Number = Field(3.0, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> "Agreement":
        if self.least > self.most:
            raise ValueError(f"least {self.least:g} is larger than most {self.most:g}")
        return self


class Recipe(Run):
    """Recipe of a network of landmarks; the sizes of its phases are those of its crops.

    Attributes:
        network: Stem of the system.
        stage: First stage of the system that the network runs; empty = the first stage of the system.
        scheme: Scheme of the network's points, to which the labels of sets with other schemes are converted: a name, or
            the YAML file of an own scheme; None = the scheme that all sets share.
        schemes: Definitions of own schemes by name; those of the files that `scheme` and the options of sets name are
            filled in.
        earlier: Checkpoints of the earlier stages, in order, for a network that begins with a later stage; or a bundle
            of one network, as "default".
        real: Share of the crops that are cut by the points that the earlier stages find; the others are cut by labels.
        real_augment: Rotation, scale, shift and stretch of those crops; none = as all others.
        teacher: Trained network from whose answers this one learns, also on pictures without landmarks; None = labels
            alone.
        agreement: How the network agrees with itself on two crops of a face; None = it sees one.
        measure: Normaliser of the errors in validation: "inter-ocular", or "box" = sqrt(w h) of the labels.
        crop: How crops are cut where the stage leaves it open: around the "box" of the points, or by the similarity
            that brings the points nearest to their mean "shape" (local_global, section 3.4).
        emphasis: Preference for rare shapes: a face is drawn with the weight (distance to the mean shape over the
            median distance) ** emphasis; 0 = all shapes have the same weight.
        pose_model: File of the face model by which head poses are fitted, under the folder of the data sets; None = no
            pose labels.
        streams: Number of random streams that the samples of a step are drawn from, an equal part from each; None = one
            for each process. With the same `streams`, and as many samples in all processes together, another number of
            processes trains on the same samples.
        memory: Longer side of a face's box in the pictures in memory, in pixels; None = enough for the largest crop.
        losses: Weights and scales of the losses.
    """

    network: str = "compact"
    stage: str = ""
    scheme: str | None = None
    schemes: dict[str, Definition] = Field(default_factory=dict, max_length=20)
    earlier: list[Path] = Field(default_factory=list)
    real: Number = Field(0.0, ge=0, le=1)
    real_augment: Augment | None = None
    teacher: Distillation | None = None
    agreement: Agreement | None = None
    measure: Literal["inter-ocular", "box"] = "inter-ocular"
    crop: Literal["box", "shape"] = "box"
    emphasis: Number = Field(0.0, ge=0)
    pose_model: str | None = None
    streams: int | None = Field(None, gt=0)
    memory: int | None = Field(None, gt=16)
    losses: Losses = Losses()

    @model_validator(mode="after")
    def _shared(self) -> Self:
        """Each process has as many streams, and each stream as many samples."""
        streams, samples = self.streams or self.world, self.batch * self.world
        if streams % self.world or samples % streams:
            of = f"{streams} streams of {samples} samples in all"
            raise ValueError(f"streams: {of} cannot be shared evenly by {self.world} processes")
        return self

    @field_validator("network")
    @classmethod
    def _known(cls, network: str) -> str:
        if network not in SYSTEMS:
            raise ValueError(f"there are {', '.join(SYSTEMS)}")
        return network

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its fields, since `recipe_of` makes the classes of some networks."""
        return check_recipe, (self.model_dump(mode="json"), self.name)

    def memory_for(self, margin: float) -> int:
        """Longer side of a box in the pictures in memory, by default 1.5 times that in the largest crop of a margin."""
        largest = max(phase.size for phase in self.phases)
        return self.memory or 16 * math.ceil(1.5 * largest / margin / 16)


@cache
def recipe_of(network: str, stage: str) -> type[Recipe]:
    """Kind of recipe of a network of landmarks; its losses may have settings of their own.

    Raises:
        RecipeError: no such system or network.
    """
    losses = network_of(network, stage).losses
    if losses is Losses:
        return Recipe
    return create_model("Recipe", __base__=Recipe, losses=(losses, losses()))


Kind = TypeVar("Kind", bound=Run)


def check_recipe(tree: Mapping[str, Any], source: str) -> Recipe:
    """Check the fields of a recipe of landmarks.

    Args:
        tree: The fields.
        source: Name of the file that errors name.

    Raises:
        RecipeError: an unknown or wrong field, named by its path.
        SchemeError: the file of an own scheme is missing or damaged, or another scheme has its name.
    """
    network, stage = str(tree.get("network", "compact")), str(tree.get("stage", ""))
    try:
        kind = recipe_of(network, stage)
    except RecipeError as error:
        raise RecipeError(f"{source}: network: {error}") from error
    recipe = check_run(kind, with_definitions(tree), source)
    define(recipe.schemes, source)
    return recipe


def check_run(kind: type[Kind], tree: Mapping[str, Any], source: str) -> Kind:
    """Check the fields of a recipe of a kind, as `check_recipe`."""
    recipe = check(kind, tree, source)
    names = [share.name for share in recipe.val]
    if len(set(names)) < len(names):
        raise RecipeError(f"{source}: val: two sets have the same name; give one its own folder (reader:folder)")
    total = sum(phase.share for phase in recipe.phases)
    if abs(total - 1) > 1e-6:
        raise RecipeError(f"{source}: phases: the shares add up to {total:g}; they must add up to 1")
    return recipe
