"""Recipes of detectors with their pictures in one folder: training sees the same faces and photographs."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from canthus.geometry.transform import apply, fit_similarity
from canthus.train import pack as packing
from canthus.train.detection.backdrops import load_faceless
from canthus.train.detection.pool import FacePool, load_faces
from canthus.train.detection.recipe import DetectorRecipe, solid_of
from canthus.train.fit import fit
from canthus.train.recipe import Start
from canthus.train.stages import Stage, load_stages
from canthus.types import Floats, Image

pytestmark = [
    pytest.mark.data,
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
MEMORY = 24


@pytest.fixture(scope="module")
def recipe(mixed: Path, small: DetectorRecipe, data_root: Path) -> DetectorRecipe:
    if not (mixed / "ict_facekit").exists():
        (mixed / "ict_facekit").symlink_to(data_root / "ict_facekit")
    tree = small.model_dump(mode="json")
    tree["sets"] += [{"name": "csv:five"}, {"name": "fairface", "split": "list/part-0-50"}]
    tree |= {"hide": "detector", "face_model": "ict_facekit/ict_facekit.npz"}
    tree |= {"faceless": [{"name": "backdrops"}], "val_faceless": [{"name": "backdrops"}]}
    tree["scenes"]["memory"] = MEMORY
    return DetectorRecipe.model_validate(tree)


@pytest.fixture(scope="module")
def packed(recipe: DetectorRecipe, mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe in two stages, packed; in place of blurring other faces out, a corner of each picture is painted."""

    def without_corner(image: Image, box: Floats) -> Image:
        changed = image.copy()
        changed[:4, :4] = 255
        return changed

    out = tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "hider", lambda hide: without_corner)
        later = recipe.model_copy(update={"start": [Start(checkpoint=Path("run/1/last.ckpt"))], "steps": 5})
        packing.pack([Stage(one, Path("run")) for one in (recipe, later)], mixed, out, lambda done, total: None)
    return out


def pool_of(recipe: DetectorRecipe, root: Path) -> FacePool:
    return load_faces(recipe.sets, root, MEMORY, None, solid_of(recipe, root))


def stage_of(packed: Path) -> DetectorRecipe:
    found = load_stages(packed / "recipe.yaml", packed / "run")[0].recipe
    assert isinstance(found, DetectorRecipe)
    return found


def test_the_faces_are_those_of_the_sets(recipe: DetectorRecipe, mixed: Path, packed: Path) -> None:
    """The map between the boxes also brings points and pictures on each other."""
    before, after = pool_of(recipe, mixed), pool_of(stage_of(packed), packed)
    np.testing.assert_allclose(after.chance, before.chance)
    np.testing.assert_allclose(after.rolls, before.rolls, atol=1)
    changes = []
    for old, new, one, other in zip(before.points, after.points, before.images, after.images, strict=True):
        matrix = fit_similarity(new, old)
        assert np.abs(apply(matrix, new) - old).max() < 0.1
        assert max(other.shape[:2]) <= packing.WIDE * MEMORY + 2
        at, there = new.round().astype(int), old.round().astype(int)
        inside = ((at >= 0) & (at < [other.shape[1], other.shape[0]])).all(1)
        at, there = at[inside], there[inside]
        changes.append(np.abs(other[at[:, 1], at[:, 0]].astype(float) - one[there[:, 1], there[:, 0]]).mean())
    assert np.median(changes) < 30


def test_what_hides_other_faces_is_in_the_pictures_already(recipe: DetectorRecipe, packed: Path) -> None:
    found = stage_of(packed)
    assert recipe.hide is not None and found.hide is None
    corners = [image[:2, :2].mean() for image in pool_of(found, packed).images[:8]]
    assert min(corners) > 150, "the drawn faces lie on a dark ground"


def test_photographs_without_a_face_are_those_of_the_sets(recipe: DetectorRecipe, mixed: Path, packed: Path) -> None:
    before, after = load_faceless(recipe.faceless, mixed), load_faceless(stage_of(packed).faceless, packed)
    assert [one.shape for one in before] == [one.shape for one in after]
    means = np.array([[one.mean() for one in pictures] for pictures in (before, after)])
    np.testing.assert_allclose(means[0], means[1], atol=4)


def test_a_packed_recipe_trains(packed: Path, tmp_path: Path) -> None:
    tree = yaml.safe_load((packed / "recipe.yaml").read_text())
    assert [share["origin"] for share in tree["faceless"]] == ["backdrops"]
    (_, later) = load_stages(packed / "recipe.yaml", tmp_path / "run", ["validate_every=2"])
    assert later.recipe.steps == 5 and later.recipe.start[0].checkpoint == tmp_path / "run/1/last.ckpt"
    (stage,) = load_stages(packed / "recipe.yaml", tmp_path, ["steps=2", "validate_every=2", "val_pictures=2"])[:1]
    assert fit(stage.recipe, packed, tmp_path / "alone").is_file()
