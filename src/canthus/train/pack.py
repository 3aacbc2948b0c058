"""A recipe with its data in one folder, small enough to carry to another machine."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image as Pillow

from canthus.data.catalogue import open_set
from canthus.data.packed import PackedFace, packed_arrays
from canthus.data.sample import Sample
from canthus.errors import OutputError, RecipeError
from canthus.geometry.crop import box_of
from canthus.nets.systems import configure
from canthus.runtime.bundle import pack_arrays
from canthus.train.detection.backdrops import lessened
from canthus.train.detection.outline import Outliner, usable
from canthus.train.detection.pool import hider
from canthus.train.detection.recipe import DetectorRecipe, solid_of
from canthus.train.landmarks.pool import POSED
from canthus.train.memory import reduced, scaled
from canthus.train.recipe import Recipe, Run, SetShare
from canthus.train.stages import FROM, THEN, Stage
from canthus.types import Floats, Image
from canthus.work.archive import open_arrays
from canthus.work.files import replace_whole

AROUND = 2.2
"""Side of the part of a picture that is kept, over the longer side of the box of the face."""
WIDE = 4.0
"""The same where a detector is trained, which sees what lies around a face."""
QUALITY = 85
"""Quality of the WebP pictures."""
DETECTOR_QUALITY = 75
"""The same where a detector is trained: with photographs without a face and all surroundings it has more to carry."""
RECIPE = "recipe.yaml"
SETS = ("sets", "val", "faceless", "val_faceless")
"""Fields of recipes with data sets."""
MODELS = ("pose_model", "face_model")
"""Fields of recipes with the file of a face model, of which the mean is packed."""


def pack(stages: Sequence[Stage], root: Path, out: Path, watch: Callable[[int, int], None]) -> Path:
    """Write the training and validation faces of a recipe as packed sets, and the recipe that reads them.

    Each picture is reduced to the resolution that the crops of the recipe need, and to the surroundings of the face.
    In those of a detector the unlabelled faces are already blurred out, so the packed recipe has no `hide`.

    Args:
        stages: The stages of a recipe of a network of landmarks, or of a detector.
        root: Folder of the data sets.
        out: Folder to write; `canthus train out/recipe.yaml --root out` trains there.
        watch: Called with the number of packed faces and the number of all faces.

    Returns:
        The recipe that was written.

    Raises:
        DataError: a set is missing or incomplete.
        OutputError: the folder cannot be written.
        ReadError: a picture cannot be read.
        BundleError: `hide` of a detector is no bundle of one.
        RecipeError: a recipe of the face score; or it cuts crops by other points than the labels, which packed sets do
            not hold.
    """
    recipes = [stage.recipe for stage in stages]
    jobs = _jobs(recipes, root)
    total, done = sum(len(job.samples) for job in jobs.values()), 0
    renamed = {}
    with ThreadPoolExecutor(4) as threads:
        for key, job in jobs.items():
            faces = []
            for face in threads.map(job.packed, job.samples):
                faces.append(face)
                done += 1
                watch(done, total)
            renamed[key] = _write(out, job.share, faces)
    trees = [_tree(recipe, renamed, first=recipe is recipes[0]) for recipe in recipes]
    for tree in trees:
        for field in MODELS:
            if tree.get(field) is not None:
                tree[field] = _pack_model(root / tree[field], out)
    whole = trees[0] | ({THEN: trees[1:]} if len(trees) > 1 else {})
    with replace_whole(out / RECIPE) as part:
        part.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    return out / RECIPE


class _Job(NamedTuple):
    """A set that is packed.

    Attributes:
        share: Its name, split and options.
        samples: Its samples.
        packed: Packs one of them.
    """

    share: SetShare
    samples: Sequence[Sample]
    packed: Callable[[Sample], PackedFace]


def _jobs(recipes: Sequence[Run], root: Path) -> dict[str, _Job]:
    """What is packed, by the keys of the sets.

    Raises:
        RecipeError: a recipe cannot be packed.
    """
    landmarks = [_landmarks(recipe) for recipe in recipes if not isinstance(recipe, DetectorRecipe)]
    jobs = {}
    sides = (
        recipe.memory_for(configure(recipe.network, recipe.preset, recipe.config, "68", recipe.stage).margin)
        for recipe in landmarks
    )
    side = max(sides, default=0)
    for share in (share for recipe in landmarks for share in (*recipe.sets, *recipe.val)):
        posed = share.name.partition(":")[0] in POSED
        jobs[_key(share)] = _Job(share, _opened(share, root), partial(_packed, side=side, posed=posed))
    detectors = [recipe for recipe in recipes if isinstance(recipe, DetectorRecipe)]
    side = max((recipe.scenes.memory for recipe in detectors), default=0)
    for recipe in detectors:
        outliner, hide = Outliner(solid_of(recipe, root)), hider(recipe.hide)
        for share in (*recipe.sets, *recipe.val):
            faces = [outliner.boxed(sample) for sample in _opened(share, root) if usable(sample)]
            packed = partial(_packed, side=side, posed=False, around=WIDE, quality=DETECTOR_QUALITY, change=hide)
            jobs[_key(share)] = _Job(share, faces, packed)
        for share in (*recipe.faceless, *recipe.val_faceless):
            jobs[_key(share)] = _Job(share, _opened(share, root), _faceless)
    return jobs


def _opened(share: SetShare, root: Path) -> Sequence[Sample]:
    return open_set(share.name, root, share.split, **share.options)


def _landmarks(recipe: Run) -> Recipe:
    """The recipe, if it can be packed."""
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{recipe.name}: only recipes of networks of landmarks and of detectors can be packed")
    if any(share.given for share in recipe.sets):
        raise RecipeError("sets: `given` points are not packed; remove `given`, or train where the data is")
    return recipe


def _key(share: SetShare) -> str:
    return share.model_dump_json(include={"name", "split", "options"})


def _tree(recipe: Run, renamed: Mapping[str, dict[str, str]], first: bool) -> dict[str, Any]:
    """Fields of a stage that reads packed sets; a later stage has all fields, since it would inherit missing ones."""
    tree = recipe.model_dump(mode="json", exclude_defaults=first)
    for name in SETS:
        shares = getattr(recipe, name, [])
        dumped = [share.model_dump(mode="json", exclude_defaults=True, exclude={"options"}) for share in shares]
        if dumped:
            tree[name] = [fields | renamed[_key(share)] for fields, share in zip(dumped, shares, strict=True)]
    if isinstance(recipe, DetectorRecipe):
        tree["hide"] = None
    if not first:
        tree[FROM] = Path(tree.pop("start")[0]["checkpoint"]).stem
    return tree


def _write(out: Path, share: SetShare, faces: Sequence[PackedFace]) -> dict[str, str]:
    """Write a packed set; returns the fields of the recipe that read it."""
    options = "".join(f"-{value}" for _, value in sorted(share.options.items()))
    stem = (share.name + options).replace(":", "-").replace("/", "-")
    split = share.split.replace("/", "-")
    try:
        (out / stem).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out / stem} cannot be made: {error.strerror}; choose another folder") from error
    with replace_whole(out / stem / f"{split}.npz") as part:
        part.write_bytes(pack_arrays(packed_arrays(faces)))
    return {"name": f"packed:{stem}", "split": split, "origin": share.name}


def _pack_model(model: Path, out: Path) -> str:
    """Write what head poses need of a face model; returns the name of its file under the folder `out`."""
    folder = out / "face_model"
    folder.mkdir(exist_ok=True)
    with open_arrays(model) as arrays, replace_whole(folder / model.name) as part:
        part.write_bytes(pack_arrays({"mean": arrays["mean"]}))
    copyfile(model.parent / "landmarks.json", folder / "landmarks.json")
    return f"face_model/{model.name}"


def _packed(
    sample: Sample,
    side: int,
    posed: bool,
    around: float = AROUND,
    quality: int = QUALITY,
    change: Callable[[Image, Floats], Image] | None = None,
) -> PackedFace:
    """A face with its picture, reduced so that the longer side of its box has at most `side` pixels.

    Args:
        sample: The face.
        side: Longer side of its box in pixels.
        posed: Whether its head pose has the signs of canthus.
        around: Side of the part of the picture that is kept, over that of the box.
        quality: Quality of the WebP picture.
        change: Changes the reduced picture, given the box in it; None = it stays.
    """
    image, scale = reduced(sample, side)
    points = sample.points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
    if points.shape[1] == 3:
        points[:, 2] *= np.sqrt(np.prod(scale))
    given = None if sample.box is None else scaled(sample.box.reshape(2, 2), scale).reshape(4)
    box = box_of(points) if given is None else given
    if change:
        image = change(image, box)
    x0, y0, x1, y1 = _part(image, box, around)
    corner = np.array([x0, y0], np.float32)
    points[:, :2] -= corner
    packed = replace(
        sample,
        points=points,
        box=None if given is None else given - np.tile(corner, 2),
        pose=sample.pose if posed else None,
        pixels=None,
    )
    return PackedFace(packed, _encoded(image[y0:y1, x0:x1], quality))


def _faceless(sample: Sample) -> PackedFace:
    """A photograph without a face, reduced as the training of a detector does it."""
    return PackedFace(replace(sample, pixels=None), _encoded(lessened(sample.picture()), DETECTOR_QUALITY))


def _encoded(image: Image, quality: int) -> bytes:
    stream = BytesIO()
    Pillow.fromarray(image).save(stream, "webp", quality=quality)
    return stream.getvalue()


def _part(image: Image, box: Floats, around: float) -> tuple[int, int, int, int]:
    """Limits x0, y0, x1, y1 of the part of a picture around a box that is kept."""
    height, width = image.shape[:2]
    half = around / 2 * float((box[2:] - box[:2]).max())
    x, y = (box[:2] + box[2:]) / 2
    return (
        max(0, int(x - half)),
        max(0, int(y - half)),
        min(width, int(x + half) + 1),
        min(height, int(y + half) + 1),
    )
