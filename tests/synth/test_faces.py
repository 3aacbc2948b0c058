import numpy as np
import pytest

from canthus.errors import InputError, ReadError, SchemeError
from canthus.face3d.labels import points_of
from canthus.face3d.morphable import MorphableModel
from canthus.schemes.transfer import index_map
from canthus.synth.faces import LabelledFaces, open_fits, open_labelled


@pytest.fixture(scope="module")
def table(studio):
    return open_labelled(studio.table, studio.folder)


def test_a_table(studio, table, toy):
    assert len(table) == 12 and not table.is_run
    assert set(table.schemes) == {"68", "51", "29"}
    assert table.azimuth == pytest.approx(studio.poses[:, 0], abs=6)
    assert table.sources.tolist() == [f"images/{index:02d}.png" for index in range(12)]
    stored = np.load(studio.table)
    assert table.points("29") == pytest.approx(stored["points_29"])
    assert (table.visible("68") == stored["visible_68"]).all()
    photographs = open_fits(studio.table, studio.folder)
    found = table.outline("68", toy.model)
    for face in (0, 7):
        wanted = points_of(toy.model, photographs.fit(face), "68", outline=True, bias=photographs.bias)[0]
        assert found[face] == pytest.approx(wanted, abs=1e-3)
    assert found == pytest.approx(stored["fitted"], abs=0.05)
    assert table.picture(3).shape == (600, 600, 3)


def test_what_a_table_does_not_tell(studio, table, toy):
    with pytest.raises(SchemeError, match="no points of scheme '84'; there are 68, 51, 29"):
        table.points("84")
    with pytest.raises(InputError, match="give --face-model"):
        table.outline("68")
    with pytest.raises(SchemeError, match="no point of scheme 51 slides"):
        table.outline("51", toy.model)
    with pytest.raises(InputError, match="--pictures"):
        open_labelled(studio.table).picture(0)
    other = LabelledFaces(table.path, {**table.columns, "identity": np.zeros((12, 99), np.float32)})
    with pytest.raises(InputError, match="another face model"):
        other.outline("68", toy.model)


def run_of(folder, rng):
    """The index of a run: three pictures, 39 points of which the left half is seen in the last two."""
    seen = np.ones((3, 39), bool)
    seen[0, :9] = False
    columns = {
        "images": np.array(["images/a.jpg", "images/b.jpg", "images/c.jpg"]),
        "sources": np.array(["x.jpg", "x.jpg", "y.jpg"]),
        "identities": np.array(["p", "p", "q"]),
        "pose": np.zeros((3, 3), np.float32),
        "error": np.zeros(3, np.float32),
        "azimuth": np.array([50, 0, -70], np.float32),
        "points_39_left": rng.normal(size=(3, 39, 3)).astype(np.float32),
        "visible_39_left": seen,
        "points_68": rng.normal(size=(3, 68, 3)).astype(np.float32),
        "visible_68": np.ones((3, 68), bool),
        "outline_68": np.full((3, 68, 3), np.nan, np.float32),
    }
    folder.mkdir()
    np.savez(folder / "index.npz", **columns)
    return open_labelled(folder)


def test_a_run(tmp_path, rng):
    run = run_of(tmp_path / "train", rng)
    assert run.is_run and run.azimuth.tolist() == [50, 0, -70]
    assert run.sources.tolist() == ["x.jpg", "x.jpg", "y.jpg"]
    assert run.half_seen("39_left").tolist() == [False, True, True]
    assert run.half_seen("68").all()
    assert np.isnan(run.outline("68")).all()
    with pytest.raises(SchemeError, match="no outline of scheme '39_left'; there are 68"):
        run.outline("39_left")


def test_a_scheme_that_is_not_there_comes_from_the_one_that_tells_most(tmp_path, table, rng):
    run = run_of(tmp_path / "train", rng)
    assert run.approximate("39_left")[0] == "39_left"
    name, way = run.approximate("5")
    assert name == "68" and not way.missing.any()
    assert (way.missing == index_map("68", "5").missing).all()
    assert table.approximate("19")[0] == "29"  # the wings of the nose
    with pytest.raises(SchemeError, match="no landmark scheme"):
        run.approximate("77")


@pytest.mark.parametrize("lost", ["images", "pose", "rotation", "points_68"])
def test_damaged_tables(studio, tmp_path, lost):
    arrays = dict(np.load(studio.table))
    del arrays[lost]
    np.savez(tmp_path / "fits.npz", **arrays)
    with pytest.raises(InputError, match=f"the array '{lost}' is missing; give a table of canthus synth fit"):
        open_labelled(tmp_path / "fits.npz")


def test_no_table(studio, tmp_path):
    with pytest.raises(InputError, match=r"index\.npz: no labelled faces.*finished run"):
        open_labelled(tmp_path)
    (tmp_path / "fits.npz").write_text("text")
    with pytest.raises(InputError, match="no labelled faces"):
        open_labelled(tmp_path / "fits.npz")
    arrays = dict(np.load(studio.table))
    np.savez(tmp_path / "fits.npz", **{**arrays, "images": arrays["images"][:0]})
    with pytest.raises(InputError, match="holds no face"):
        open_labelled(tmp_path / "fits.npz")


def test_half_of_a_face_that_the_table_has_no_points_of(tmp_path, rng):
    """The other points tell which half is seen."""
    run = run_of(tmp_path / "train", rng)
    few = {name: value for name, value in run.columns.items() if "_39" not in name}
    away = np.ones((3, 68), bool)
    away[1, [*range(8), *range(17, 22), *range(36, 42)]] = False
    half = LabelledFaces(run.path, {**few, "visible_68": away})
    assert half.half_seen("39_right").tolist() == [True, False, True]


def test_the_fit_of_a_row_puts_the_model_where_its_points_are(toy, studio):
    photographs = open_fits(studio.table, studio.folder)
    table = np.load(studio.table)
    assert len(photographs) == 12 and set(photographs.schemes) == {"68", "51", "29"}
    model: MorphableModel = toy.model
    for face in (0, 7):
        fit = photographs.fit(face)
        assert fit.error == pytest.approx(table["error"][face], rel=1e-4)
        shape = model.vertices(fit.identity, fit.expression, model.landmarks.of("51"))
        placed = fit.camera.scale * shape[0] @ fit.camera.rotation[0].T
        assert placed[:, :2] + fit.camera.shift == pytest.approx(table["points_51"][face, :, :2], abs=0.01)
    assert photographs.azimuth == pytest.approx(table["pose"][:, 0], abs=2)
    assert photographs.picture(0).shape == (600, 600, 3)


def test_a_person_without_a_name_is_the_picture(studio, tmp_path):
    arrays = dict(np.load(studio.table))
    np.savez(tmp_path / "fits.npz", **{**arrays, "identities": np.full(12, "")})
    photographs = open_fits(tmp_path / "fits.npz", studio.folder)
    assert photographs.person(2) == "images/02.png"


def test_what_does_not_fit_is_told(studio, tmp_path):
    with pytest.raises(InputError, match="give the folder of the set that was fitted as --pictures"):
        open_fits(studio.table, tmp_path)
    with pytest.raises(InputError, match="not a table of fits"):
        open_fits(tmp_path / "none.npz", studio.folder)
    np.savez(tmp_path / "other.npz", images=np.array(["a"]))
    with pytest.raises(InputError, match="'identities' is missing"):
        open_fits(tmp_path / "other.npz", studio.folder)
    with pytest.raises(ReadError):
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "00.png").write_bytes(b"")
        open_fits(studio.table, tmp_path).picture(0)
