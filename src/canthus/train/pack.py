"""A recipe with its data in one folder, small enough to carry to another machine."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from shutil import copyfile
from typing import Any

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
from canthus.train.landmarks.pool import POSED
from canthus.train.memory import reduced
from canthus.train.recipe import Recipe, Run, SetShare
from canthus.train.stages import FROM, THEN, Stage
from canthus.types import Image
from canthus.work.archive import open_arrays
from canthus.work.files import replace_whole

AROUND = 2.2
"""Side of the part of a picture that is kept, over the longer side of the box of the face."""
QUALITY = 85
"""Quality of the WebP pictures."""
RECIPE = "recipe.yaml"


def pack(stages: Sequence[Stage], root: Path, out: Path, watch: Callable[[int, int], None]) -> Path:
    """Write the training and validation faces of a recipe as packed sets, and the recipe that reads them.

    Each picture is reduced to the resolution that the crops of the recipe need, and to the surroundings of the face.

    Args:
        stages: The stages of a recipe of a network of landmarks.
        root: Folder of the data sets.
        out: Folder to write; `canthus train out/recipe.yaml --root out` trains there.
        watch: Called with the number of packed faces and the number of all faces.

    Returns:
        The recipe that was written.

    Raises:
        DataError: a set is missing or incomplete.
        OutputError: the folder cannot be written.
        ReadError: a picture cannot be read.
        RecipeError: not a network of landmarks; or it cuts crops by other points than the labels, which packed sets do
            not hold.
    """
    recipes = [_landmarks(stage.recipe) for stage in stages]
    shares = {_key(share): share for recipe in recipes for share in (*recipe.sets, *recipe.val)}
    sides = (
        recipe.memory_for(configure(recipe.network, recipe.preset, recipe.config, "68", recipe.stage).margin)
        for recipe in recipes
    )
    side = max(sides)
    parts = {key: open_set(one.name, root, one.split, **one.options) for key, one in shares.items()}
    total, done = sum(map(len, parts.values())), 0
    renamed = {}
    with ThreadPoolExecutor(4) as threads:
        for key, share in shares.items():
            posed, faces = share.name.partition(":")[0] in POSED, []
            for face in threads.map(partial(_packed, side=side, posed=posed), parts[key]):
                faces.append(face)
                done += 1
                watch(done, total)
            renamed[key] = _write(out, share, faces)
    trees = [_tree(recipe, renamed, first=recipe is recipes[0]) for recipe in recipes]
    for tree, recipe in zip(trees, recipes, strict=True):
        if recipe.pose_model is not None:
            tree["pose_model"] = _pack_model(root / recipe.pose_model, out)
    whole = trees[0] | ({THEN: trees[1:]} if len(trees) > 1 else {})
    with replace_whole(out / RECIPE) as part:
        part.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    return out / RECIPE


def _landmarks(recipe: Run) -> Recipe:
    """The recipe, if it can be packed."""
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{recipe.name}: only recipes of networks of landmarks can be packed")
    if any(share.given for share in recipe.sets):
        raise RecipeError("sets: `given` points are not packed; remove `given`, or train where the data is")
    return recipe


def _key(share: SetShare) -> str:
    return share.model_dump_json(include={"name", "split", "options"})


def _tree(recipe: Recipe, renamed: Mapping[str, dict[str, str]], first: bool) -> dict[str, Any]:
    """Fields of a stage that reads packed sets; a later stage has all fields, since it would inherit missing ones."""
    tree = recipe.model_dump(mode="json", exclude_defaults=first)
    for name, shares in (("sets", recipe.sets), ("val", recipe.val)):
        dumped = [share.model_dump(mode="json", exclude_defaults=True, exclude={"options"}) for share in shares]
        tree[name] = [fields | renamed[_key(share)] for fields, share in zip(dumped, shares, strict=True)]
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
    folder = out / "pose_model"
    folder.mkdir(exist_ok=True)
    with open_arrays(model) as arrays, replace_whole(folder / model.name) as part:
        part.write_bytes(pack_arrays({"mean": arrays["mean"]}))
    copyfile(model.parent / "landmarks.json", folder / "landmarks.json")
    return f"pose_model/{model.name}"


def _packed(sample: Sample, side: int, posed: bool) -> PackedFace:
    """A face with its picture, reduced so that the longer side of its box has at most `side` pixels.

    Args:
        sample: The face.
        side: Longer side of its box in pixels.
        posed: Whether its head pose has the signs of canthus.
    """
    image, scale = reduced(sample, side)
    points = sample.points.copy()
    points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
    if points.shape[1] == 3:
        points[:, 2] *= np.sqrt(np.prod(scale))
    box = None if sample.box is None else (np.reshape(sample.box, (2, 2)) + 0.5) * scale - 0.5
    x0, y0, x1, y1 = _part(image, box_of(points) if box is None else box.reshape(4))
    corner = np.array([x0, y0], np.float32)
    points[:, :2] -= corner
    stream = BytesIO()
    Pillow.fromarray(image[y0:y1, x0:x1]).save(stream, "webp", quality=QUALITY)
    packed = replace(
        sample,
        points=points,
        box=None if box is None else (box - corner).reshape(4),
        pose=sample.pose if posed else None,
        pixels=None,
    )
    return PackedFace(packed, stream.getvalue())


def _part(image: Image, box: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[int, int, int, int]:
    """Limits x0, y0, x1, y1 of the part of a picture around a box that is kept."""
    height, width = image.shape[:2]
    half = AROUND / 2 * float((box[2:] - box[:2]).max())
    x, y = (box[:2] + box[2:]) / 2
    return (
        max(0, int(x - half)),
        max(0, int(y - half)),
        min(width, int(x + half) + 1),
        min(height, int(y + half) + 1),
    )
