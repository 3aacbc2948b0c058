"""What a training run is made of: YAML checked field by field, with overrides `a.b=c`."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator

from canthus.errors import RecipeError
from canthus.nets.losses import Losses
from canthus.nets.settings import Number, Strict
from canthus.nets.systems import SYSTEMS, network_of

Checked = TypeVar("Checked", bound=BaseModel)


class SetShare(Strict):
    """One data set of the mixture.

    Attributes:
        name: Name in the catalogue, as "wild68".
        split: Part of the set.
        weight: Share of the samples drawn from it, relative to the others.
        trust: Weight of its labels in the losses, for sets with noisy labels.
        options: What the reader of the set takes, as {scheme: "84", labels: 3d}.
        given: Options that read the points by which crops are cut, where those are not the labels; with `crop: shape`.
        union: Whether profile points take the slots of their nearest frontal points (multi_view, figure 3) in place of
            being converted to the scheme of the network by position.
    """

    name: str
    split: str = "train"
    weight: Number = Field(1.0, gt=0)
    trust: Number = Field(1.0, gt=0, le=1)
    options: dict[str, str] = Field(default_factory=dict)
    given: dict[str, str] = Field(default_factory=dict)
    union: bool = False


class Start(Strict):
    """Weights of an earlier run.

    Attributes:
        checkpoint: `best.ckpt` or `last.ckpt` of the run.
        source: Module of that network whose weights are taken, as "trunk"; empty = all of it.
        target: Module of this network that they go to; empty = all of it.
    """

    checkpoint: Path
    source: str = ""
    target: str = ""


class Augment(Strict):
    """How a sample is varied; probabilities where nothing else is said.

    Attributes:
        rotation: Standard deviation of the in-plane rotation in degrees, cut at three times that.
        scale: Largest factor by which the box grows or shrinks, drawn log-uniformly.
        shift: Standard deviation of the box's shift over its longer side, cut at three times that.
        stretch: Largest factor by which one axis is stretched against the other.
        flip: Mirror image.
        light: Strength of brightness, contrast, gamma and white-balance changes, 0..1.
        grey: All colour taken away.
        blur: Gaussian or motion blur.
        shrink: Down-scaling to a fraction of the size and back.
        jpeg: Strong JPEG compression.
        noise: Sensor noise.
        occlude: A patch that covers part of the face.
    """

    rotation: Number = Field(15.0, ge=0)
    scale: Number = Field(1.25, ge=1)
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


class Drop(Strict):
    """From this share of the steps on the learning rate is `factor` times the largest."""

    share: Number = Field(ge=0, lt=1)
    factor: Number = Field(gt=0)


class Optimiser(Strict):
    """How the weights move: warm-up, then a cosine to zero, or steps.

    Attributes:
        kind: "adamw", "rmsprop", or "sgd" with momentum .9.
        rate: Largest learning rate.
        drops: Steps of the learning rate, in order; none = a cosine to zero.
        decay: Weight decay.
        warmup: Share of the steps in which the rate rises.
        clip: Largest norm of the gradient.
        ema: Decay of the moving average of the weights.
    """

    kind: Literal["adamw", "rmsprop", "sgd"] = "adamw"
    rate: Number = Field(2.5e-3, gt=0)
    drops: list[Drop] = Field(default_factory=list)
    decay: Number = Field(0.02, ge=0)
    warmup: Number = Field(0.03, ge=0, lt=1)
    clip: Number = Field(5.0, gt=0)
    ema: Number = Field(0.998, ge=0, lt=1)


class Phase(Strict):
    """Crops of `size` pixels for the next `share` of the steps."""

    share: Number = Field(gt=0, le=1)
    size: int = Field(gt=0, multiple_of=16)


class Run(Strict):
    """What every training run has.

    Attributes:
        name: Name of the run and of the bundle made from it.
        network: Stem of the network in `nets/`.
        preset: Which of its configs: "full" = the paper's size, "compact" for two cores, "ablation" for short trials.
        config: Fields of that config that differ.
        start: Weights of earlier runs that this one starts from; the rest is random.
        sets: The mixture that is trained on.
        val: What is validated on; the first one decides.
        phases: Sizes of the pictures over the run; their shares add up to 1.
        steps: Optimiser steps.
        batch: Samples a step and process.
        processes: Processes that share the work (one thread each on a CPU).
        workers: Processes that prepare the pictures for each of them; 0 = it does so itself. A GPU wants several.
        accelerator: "cpu" or "cuda".
        precision: "bf16-mixed" or "32-true".
        validate_every: Steps between validations.
        patience: Validations without progress after which the run stops; 0 = never.
        seed: Seed of everything random.
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
    workers: int = Field(0, ge=0)
    accelerator: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    validate_every: int = Field(1000, gt=0)
    patience: int = Field(0, ge=0)
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate at a step, over the largest."""
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


class Recipe(Run):
    """A training run of a network of landmarks; the phases are those of its crops.

    Attributes:
        network: Stem of the system.
        stage: Stage of the system that the network begins with; empty = the first one.
        scheme: Scheme of the network's points, to which the labels of sets of other schemes are converted; None = the
            scheme that all sets share.
        earlier: Checkpoints of the stages before, in order, for a network that begins with a later stage.
        real: Share of the crops that are cut by what the earlier stages really find; the others are cut by the labels.
        measure: What errors in validation are divided by: "inter-ocular", or "box" = sqrt(w h) of the labels.
        crop: How crops are cut where the stage leaves it open: around the "box" of the points, or by the similarity
            that brings the points nearest to their mean "shape" (local_global, section 3.4).
        emphasis: How much rare shapes are preferred: weight = (distance to the mean shape / median) ** emphasis.
        pose_model: Face model file under the data root from which head poses are fitted; None = no pose labels.
        memory: Longer side of a face's box in the pictures in memory, in pixels; None = enough for the largest crop.
        losses: Weights and scales of the losses.
    """

    network: str = "compact"
    stage: str = ""
    scheme: str | None = None
    earlier: list[Path] = Field(default_factory=list)
    real: Number = Field(0.0, ge=0, le=1)
    measure: Literal["inter-ocular", "box"] = "inter-ocular"
    crop: Literal["box", "shape"] = "box"
    emphasis: Number = Field(0.0, ge=0)
    pose_model: str | None = None
    memory: int | None = Field(None, gt=16)
    losses: Losses = Losses()

    @field_validator("network")
    @classmethod
    def _known(cls, network: str) -> str:
        if network not in SYSTEMS:
            raise ValueError(f"there are {', '.join(SYSTEMS)}")
        return network

    def memory_for(self, margin: float) -> int:
        """Longer side of a box in the pictures in memory, for crops of a margin: half as fine again as the largest."""
        largest = max(phase.size for phase in self.phases)
        return self.memory or 16 * math.ceil(1.5 * largest / margin / 16)


def recipe_of(network: str, stage: str) -> type[Recipe]:
    """The kind of recipe of a network of landmarks, whose losses may have fields of their own.

    Raises:
        RecipeError: no such system or network.
    """
    losses = network_of(network, stage).losses
    if losses is Losses:
        return Recipe
    return create_model("Recipe", __base__=Recipe, losses=(losses, losses()))


Kind = TypeVar("Kind", bound=Run)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file.
        overrides: "a.b=c", the value read as YAML; a number picks from a list ("sets.0.weight=2").

    Returns:
        The recipe, every field checked.

    Raises:
        RecipeError: no such file, not YAML, an unknown or wrong field (named by its path).
    """
    return check_recipe(read_tree(path, overrides), str(path))


def read_tree(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a YAML file, not checked yet.

    Raises:
        RecipeError: no such file, not YAML, not a mapping, or an override that does not fit.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RecipeError(f"{path}: cannot read the recipe ({error.strerror}); recipes lie under recipes/") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of fields, not {type(tree).__name__}")
    for change in overrides:
        override(tree, change)
    return tree


def check_recipe(tree: Mapping[str, Any], source: str) -> Recipe:
    """Check the fields of a recipe read from `source`, which errors name.

    Raises:
        RecipeError: an unknown or wrong field, named by its path.
    """
    network, stage = str(tree.get("network", "compact")), str(tree.get("stage", ""))
    try:
        kind = recipe_of(network, stage)
    except RecipeError as error:
        raise RecipeError(f"{source}: network: {error}") from error
    return check_run(kind, tree, source)


def check_run(kind: type[Kind], tree: Mapping[str, Any], source: str) -> Kind:
    """Check the fields of a recipe of a kind, as `check_recipe`."""
    recipe = check(kind, tree, source)
    names = [share.name for share in recipe.val]
    if len(set(names)) < len(names):
        raise RecipeError(f"{source}: val: a set is named twice; give one of them a folder of its own (reader:folder)")
    total = sum(phase.share for phase in recipe.phases)
    if abs(total - 1) > 1e-6:
        raise RecipeError(f"{source}: phases: the shares add up to {total:g}, not to 1")
    return recipe


def check(kind: type[Checked], tree: Mapping[str, Any], source: str) -> Checked:
    """Check fields read from `source`, which errors name.

    Raises:
        RecipeError: an unknown or wrong field, named by its path.
    """
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise RecipeError("\n".join([f"{source}: the recipe does not hold:", *lines])) from error


def override(tree: dict[str, Any], change: str) -> None:
    """Set one field of a tree by "a.b=c"; `load_recipe` says how.

    Raises:
        RecipeError: not of that form, or the tree has no such place.
    """
    path, equals, value = change.partition("=")
    if not equals:
        raise RecipeError(f"--set {change}: write a.b=c")
    *parents, last = path.split(".")
    node: Any = tree
    try:
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        if isinstance(node, list):
            node[int(last)] = yaml.safe_load(value)
        else:
            node[last] = yaml.safe_load(value)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise RecipeError(f"--set {change}: the recipe has no field {path}") from error


def cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
