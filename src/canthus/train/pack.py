"""A recipe with its data in one folder, small enough to carry to another machine."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from shutil import copyfile

import numpy as np
import yaml
from PIL import Image as Pillow

from canthus.data.catalogue import open_set
from canthus.data.packed import PackedFace, packed_arrays
from canthus.data.sample import Sample
from canthus.errors import RecipeError
from canthus.geometry.crop import box_of
from canthus.nets.systems import configure
from canthus.runtime.bundle import pack_arrays
from canthus.train.landmarks.pool import POSED
from canthus.train.memory import reduced
from canthus.train.recipe import Recipe, SetShare
from canthus.types import Image
from canthus.work.archive import open_arrays
from canthus.work.files import replace_whole

AROUND = 2.2
"""Side of the part of a picture that is kept, over the longer side of the box of the face."""
QUALITY = 85
"""Quality of the WebP pictures."""
RECIPE = "recipe.yaml"


def pack(recipe: Recipe, root: Path, out: Path, watch: Callable[[int, int], None]) -> Path:
    """Write the training and validation faces of a recipe as packed sets, and the recipe that reads them.

    Each picture is reduced to the resolution that the crops of the recipe need, and to the surroundings of the face.

    Args:
        recipe: The recipe.
        root: Folder of the data sets.
        out: Folder to write; `canthus train out/recipe.yaml --root out` trains there.
        watch: Called with the number of packed faces and the number of all faces.

    Returns:
        The recipe that was written.

    Raises:
        DataError: a set is missing or incomplete.
        ReadError: a picture cannot be read.
        RecipeError: the recipe cuts crops by other points than the labels, which packed sets do not hold.
    """
    if any(share.given for share in recipe.sets):
        raise RecipeError("sets: `given` points are not packed; remove `given`, or train where the data is")
    side = recipe.memory_for(configure(recipe.network, recipe.preset, recipe.config, 1, recipe.stage).margin)
    shares = [*recipe.sets, *recipe.val]
    parts = [open_set(share.name, root, share.split, **share.options) for share in shares]
    total, done = sum(map(len, parts)), 0
    renamed = []
    with ThreadPoolExecutor(4) as threads:
        for number, (share, samples) in enumerate(zip(shares, parts, strict=True)):
            faces = []
            posed = share.name.partition(":")[0] in POSED
            for face in threads.map(partial(_packed, side=side, posed=posed), samples):
                faces.append(face)
                done += 1
                watch(done, total)
            renamed.append(_write(out, share, number < len(recipe.sets), faces))
    changes: dict[str, object] = {"sets": renamed[: len(recipe.sets)], "val": renamed[len(recipe.sets) :]}
    if recipe.pose_model is not None:
        changes["pose_model"] = _pack_model(root / recipe.pose_model, out)
    fields = recipe.model_dump(mode="json", exclude_defaults=True) | changes
    with replace_whole(out / RECIPE) as part:
        part.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    return out / RECIPE


def _write(out: Path, share: SetShare, training: bool, faces: Sequence[PackedFace]) -> dict[str, object]:
    """Write a packed set; returns the fields of the recipe that read it."""
    stem = share.name.replace(":", "-").replace("/", "-")
    split = share.split.replace("/", "-")
    (out / stem).mkdir(parents=True, exist_ok=True)
    with replace_whole(out / stem / f"{split}.npz") as part:
        part.write_bytes(pack_arrays(packed_arrays(faces)))
    fields = share.model_dump(mode="json", exclude_defaults=True, exclude={"options"})
    return fields | {"name": f"packed:{stem}", "split": split}


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
