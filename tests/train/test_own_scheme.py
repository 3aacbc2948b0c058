"""A network for the points of a user's own scheme: trained, evaluated, exported and run where nobody has its file."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.cli import main
from canthus.data.catalogue import open_set
from canthus.errors import BundleError, DataError, RecipeError, SchemeError
from canthus.formats.table import load
from canthus.runtime.bundle import Bundle, write_bundle
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.job import build
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.run_card import RunCard

EXAMPLE = Path(__file__).parents[2] / "examples" / "corners5.yaml"
PLACES = np.array([[25.0, 40], [95, 40], [60, 65], [40, 90], [80, 90]])
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec.*", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of data sets with `csv:faces`, which does not say what its points mean, and the file of the scheme."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(EXAMPLE, folder)
    rng = np.random.default_rng(2)
    for split, count in {"train": 8, "val": 4}.items():
        rows = ["image,identity," + ",".join(f"x{i},y{i}" for i in range(5))]
        for index in range(count):
            points = PLACES + rng.normal(0, 4, 2)
            image = np.full((120, 120, 3), 40, np.uint8)
            for number, point in enumerate(points.round().astype(int)):
                cv2.circle(image, point.tolist(), 4, (50 * number, 255 - 50 * number, 99), -1)
            (folder / "data" / "faces" / "images").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "data" / "faces" / "images" / f"{split}{index}.png"), image)
            rows.append(f"{split}{index}.png,{split}{index}," + ",".join(f"{v:.2f}" for v in points.ravel()))
        (folder / "data" / "faces" / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def recipe(place: Path, tiny: Recipe) -> dict[str, object]:
    """Two steps on the set, whose scheme is named by its file."""
    file = str(place / "corners5.yaml")
    share = {"name": "csv:faces", "options": {"scheme": file}}
    sets = {"sets": [share], "val": [{**share, "split": "val"}]}
    return tiny.model_dump(mode="json", exclude={"schemes"}) | {
        "scheme": file,
        "steps": 2,
        "validate_every": 2,
        **sets,
    }


@pytest.fixture(scope="module")
def bundle(place: Path, recipe: dict[str, object]) -> Path:
    """Trained, and exported by a process of its own when the file of the scheme was gone."""
    (place / "own.yaml").write_text(json.dumps(recipe))
    data, out = ["--root", str(place / "data")], place / "own.canthus"
    run("train", str(place / "own.yaml"), *data, "--out", str(place / "run"))
    (place / "corners5.yaml").rename(place / "hidden")
    apart("export", str(place / "run" / "best.ckpt"), *data, "--out", str(out))
    (place / "hidden").rename(place / "corners5.yaml")
    return out


def run(*words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["canthus", *words])
        try:
            main()
        except SystemExit as leave:
            assert not leave.code


def apart(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "canthus", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_card_of_the_run_says_what_the_points_mean(bundle: Path, place: Path) -> None:
    card = RunCard.beside(place / "run" / "best.ckpt")
    assert card.scheme == card.recipe["scheme"] == "corners5"
    assert card.recipe["sets"][0]["options"] == {"scheme": "corners5"}
    assert card.recipe["schemes"]["corners5"]["names"] == ["eye_{right,left}_outer", "nose_tip", "mouth_{right,left}"]
    assert np.isfinite(card.sessions[-1].last["val/csv:faces"])  # over the inter-ocular distance of the file


def test_what_runs_the_bundle_needs_no_file(bundle: Path, place: Path) -> None:
    (place / "corners5.yaml").rename(place / "hidden")
    pictures, out = place / "data" / "faces" / "images", place / "out"
    try:
        options = ("--detector", "none", "--model", str(bundle), "--format", "json,csv,pts", "--overlay")
        apart("detect", str(pictures), "-o", str(out), *options)
    finally:
        (place / "hidden").rename(place / "corners5.yaml")
    (face,) = load(out / "val0.json")
    assert face.scheme == "corners5" and face.points.shape == (5, 2) and np.isfinite(face.points).all()
    assert {record.scheme for record in load(out / "faces.csv")} == {"corners5"}
    assert load(out / "val0_0.pts")[0].points.shape == (5, 2)
    assert {path.stem for path in out.glob("*.jpg")} == {path.stem for path in pictures.iterdir()}


def test_it_is_evaluated_by_the_file(bundle: Path, place: Path) -> None:
    data = ("--data", "csv:faces", "--split", "val", "--root", str(place / "data"))
    said = apart("evaluate", *data, "--scheme", str(place / "corners5.yaml"), "--model", str(bundle), "--json", "-")
    study = json.loads(said)
    assert study["protocol"]["scheme"] == "corners5"
    truth = str(place / "data" / "faces" / "val.csv")
    scored = apart(
        "evaluate", "--truth", truth, "--predictions", truth, "--scheme", str(place / "corners5.yaml"), "--json", "-"
    )
    assert json.loads(scored)["protocol"]["scheme"] == "corners5"


def test_a_run_may_start_from_such_a_bundle(bundle: Path) -> None:
    """The recipe in its card defines the scheme."""
    fields = Bundle.open(bundle).card.checkpoints["landmarks"].recipe
    again = check_recipe(fields, "card")
    assert build(again, "corners5", {}).scheme == "corners5"


def test_sets_of_the_package_are_converted_by_the_names_of_the_points(place: Path, drawn: Path) -> None:
    from canthus.train.landmarks.pool import labels_in

    Scheme.open(str(place / "corners5.yaml"))
    (sample, *_) = open_set("wild68", drawn, "val")
    np.testing.assert_array_equal(labels_in(sample, "corners5")[:, :2], sample.points[[36, 45, 30, 48, 54]])


def test_points_of_another_number_are_refused(place: Path, drawn: Path) -> None:
    with pytest.raises(DataError, match=r"0\.png has 68 points of scheme 68, not the 5 of scheme corners5"):
        open_set("wild68", drawn, "val", scheme=str(place / "corners5.yaml"))
    folder = place / "data" / "marks"
    folder.mkdir()
    shutil.copy(place / "data" / "faces" / "images" / "val0.png", folder / "a.png")
    (folder / "a.pts").write_text("version: 1\nn_points: 5\n{\n" + "1 2\n" * 5 + "}\n")
    (sample,) = open_set("pts:marks", place / "data", "", scheme=str(place / "corners5.yaml"))
    assert sample.scheme == "corners5"
    with pytest.raises(DataError, match=r"a\.png has 5 points of scheme 5, not the 68 of scheme 68"):
        _ = open_set("pts:marks", place / "data", "", scheme="68")[0]


def test_a_file_that_is_wrong_is_an_error_of_the_recipe(place: Path, recipe: dict[str, object]) -> None:
    (place / "damaged.yaml").write_text("names: [")
    with pytest.raises(SchemeError, match=r"damaged\.yaml: not valid YAML"):
        check_recipe(recipe | {"scheme": str(place / "damaged.yaml")}, "recipe")
    with pytest.raises(RecipeError, match=r"schemes\.x\.names: Field required"):
        check_recipe(recipe | {"schemes": {"x": {"title": "t"}}}, "recipe")
    with pytest.raises(SchemeError, match="'x y' cannot be the name of a scheme"):
        check_recipe(recipe | {"schemes": {"x y": {"title": "t", "names": ["a"]}}}, "recipe")


def test_a_scheme_without_the_distance_is_refused_before_training(
    place: Path, recipe: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare5.yaml"
    bare.write_text('title: bare\nnames: ["p_{right,left}", q, "r_{right,left}"]\n')
    share = {"name": "csv:faces", "options": {"scheme": str(bare)}}
    fields = {"scheme": str(bare), "sets": [share], "val": [{**share, "split": "val"}]}
    (tmp_path / "own.yaml").write_text(json.dumps(recipe | fields))
    words = ("train", str(tmp_path / "own.yaml"), "--root", str(place / "data"), "--out", str(tmp_path / "run"))
    with pytest.raises(AssertionError):
        run(*words)
    assert "measure: scheme bare5 has no inter-ocular distance; set `measure: box`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("68", {}, "scheme 68 is one of the package"),
        ("a b", {}, "cannot be the name of a scheme"),
        ("corners5", {"names": ["a"]}, "scheme corners5 has 1 points, a stage another number"),
        ("corners5", {"names": ["a_left"]}, "no mirror partner"),
        ("corners5", {"names": ["a", "b", "c", "d", "e"]}, "another scheme is called 'corners5'"),
    ],
)
def test_a_bundle_cannot_change_what_a_name_means(
    name: str, fields: dict[str, object], message: str, bundle: Path, tmp_path: Path
) -> None:
    card = Bundle.open(bundle).card
    definition = card.schemes["corners5"].model_copy(update={"points": None, "groups": {}, "curves": [], **fields})
    definition = definition.model_copy(update={"normalisers": {}})
    wrong = card.model_copy(update={"schemes": {name: definition}})
    with zipfile.ZipFile(bundle) as whole:
        contents = {member.file: whole.read(member.file) for one in card.stages for member in one.members()}
    write_bundle(tmp_path / "wrong.canthus", wrong, contents)
    with pytest.raises(BundleError, match=message):
        Bundle.open(tmp_path / "wrong.canthus")
