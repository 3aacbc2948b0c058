"""Packed sets: what is read from them is what was packed, in the pixels of smaller pictures."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.packed import PackedFace, packed_arrays, read_packed
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError, RecipeError
from canthus.geometry.transform import apply, fit_similarity
from canthus.runtime.bundle import pack_arrays
from canthus.train.detection.recipe import FaceScoreRecipe
from canthus.train.fit import fit
from canthus.train.pack import AROUND, pack
from canthus.train.recipe import Recipe
from canthus.train.stages import Stage, load_stages
from canthus.work.archive import read_arrays


def stages_of(*recipes: Recipe) -> list[Stage]:
    return [Stage(recipe, Path("run")) for recipe in recipes]


def unseen(done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def packed(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packed")
    recipe = tiny.model_copy(update={"memory": 24})
    pack(stages_of(recipe), drawn, out, unseen)
    return out


def test_points_lie_on_the_same_parts_of_the_pictures(drawn: Path, packed: Path) -> None:
    """The map between the labels also brings the pictures on each other."""
    before, after = open_set("wild68", drawn, "train"), open_set("packed:wild68", packed, "train")
    assert len(before) == len(after) == 8
    for old, new in zip(before, after, strict=True):
        matrix = fit_similarity(new.points, old.points)
        np.testing.assert_allclose(apply(matrix, new.points), old.points, atol=0.6)
        size = np.ptp(new.points, axis=0).max()
        assert size <= 24 + 1e-3 and max(new.picture().shape[:2]) <= AROUND * size + 3
        at, there = new.points.round().astype(int), old.points.round().astype(int)
        difference = np.abs(new.picture()[at[:, 1], at[:, 0]].astype(float) - old.picture()[there[:, 1], there[:, 0]])
        assert difference.mean() < 40
        assert (new.scheme, new.identity, new.groups) == (old.scheme, old.identity, old.groups)


def test_a_packed_recipe_trains(packed: Path, tmp_path: Path) -> None:
    (stage,) = load_stages(packed / "recipe.yaml", tmp_path / "run", ["steps=2", "validate_every=2"])
    assert [share.origin for share in (*stage.recipe.sets, *stage.recipe.val)] == ["wild68", "wild68"]
    assert fit(stage.recipe, packed, stage.folder).is_file()


def test_stages_share_their_sets_and_keep_what_differs(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    start = [{"checkpoint": "run/1/last.ckpt"}]
    later = Recipe.model_validate({**tiny.model_dump(), "name": "tiny", "steps": 7, "emphasis": 0, "start": start})
    seen: list[tuple[int, int]] = []
    first = tiny.model_copy(update={"emphasis": 1.0})
    path = pack(stages_of(first, later), drawn, tmp_path, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.glob("*/*.npz")) == [
        "wild68/train.npz",
        "wild68/val.npz",
    ]
    one, two = (stage.recipe for stage in load_stages(path, tmp_path / "run"))
    assert isinstance(one, Recipe) and isinstance(two, Recipe)
    assert (one.steps, one.emphasis, two.steps, two.emphasis) == (tiny.steps, 1.0, 7, 0)
    assert two.start[0].checkpoint == tmp_path / "run/1/last.ckpt"


def faces(count: int, **changes: object) -> Sequence[PackedFace]:
    picture = b"not decoded here"
    sample = Sample(Path("a.jpg"), np.arange(10, dtype=np.float32).reshape(5, 2), "5", "person")
    return [PackedFace(replace(sample, **changes), picture) for _ in range(count)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"visible": np.array([True, False, True, True, False])},
        {"box": np.float32([1, 2, 3, 4]), "pose": np.float32([10, 20, 30])},
        {"points": np.full((5, 3), np.nan, np.float32), "groups": frozenset({"blur", "half turned"})},
        {"points": np.empty((0, 2), np.float32), "scheme": NO_POINTS, "box": np.float32([1, 2, 3, 4])},
    ],
)
def test_every_field_comes_back(changes: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "train.npz").write_bytes(pack_arrays(packed_arrays(faces(2, **changes))))
    wanted = faces(1, **changes)[0].sample
    for found in read_packed(tmp_path, "train"):
        for name in ("points", "scheme", "identity", "box", "visible", "pose", "groups"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_damaged_and_missing_sets(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test\.npz"):
        open_set("packed:wild68", packed, "test")
    shutil.copytree(packed / "wild68", tmp_path / "wild68")
    path = tmp_path / "wild68" / "train.npz"
    arrays = read_arrays(path)
    for change in ({"points": arrays["points"][:3]}, {"pictures": arrays["pictures"][:-9]}, {"ends": arrays["points"]}):
        path.write_bytes(pack_arrays(arrays | change))
        with pytest.raises(DataError, match=r"train\.npz: is damaged"):
            open_set("packed:wild68", tmp_path, "train")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="pack the set again"):
        open_set("packed:wild68", tmp_path, "train")


def test_what_cannot_be_packed_is_refused(drawn: Path, tiny: Recipe, tmp_path: Path) -> None:
    tree = {**tiny.model_dump(), "sets": [{"name": "wild68", "given": {"labels": "3d"}}]}
    with pytest.raises(RecipeError, match="`given` points are not packed"):
        pack(stages_of(Recipe.model_validate(tree)), drawn, tmp_path, unseen)
    score = {name: tiny.model_dump()[name] for name in ("sets", "val", "phases", "steps")}
    with pytest.raises(RecipeError, match="only recipes of networks of landmarks and of detectors"):
        recipe = FaceScoreRecipe.model_validate({"name": "s", "network": "face_score", **score})
        pack([Stage(recipe, Path("run"))], drawn, tmp_path, unseen)
