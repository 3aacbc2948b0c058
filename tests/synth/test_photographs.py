import numpy as np
import pytest

from canthus.errors import InputError, ReadError
from canthus.face3d.morphable import MorphableModel
from canthus.synth.photographs import open_photographs


def test_the_fit_of_a_row_puts_the_model_where_its_points_are(toy, studio):
    photographs = open_photographs(studio.table, studio.folder)
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
    photographs = open_photographs(tmp_path / "fits.npz", studio.folder)
    assert photographs.person(2) == "images/02.png"


def test_what_does_not_fit_is_told(studio, tmp_path):
    with pytest.raises(InputError, match="give the folder of the set that was fitted as --pictures"):
        open_photographs(studio.table, tmp_path)
    with pytest.raises(InputError, match="not a table of fits"):
        open_photographs(tmp_path / "none.npz", studio.folder)
    np.savez(tmp_path / "other.npz", images=np.array(["a"]))
    with pytest.raises(InputError, match="'identities' is missing"):
        open_photographs(tmp_path / "other.npz", studio.folder)
    with pytest.raises(ReadError):
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "00.png").write_bytes(b"")
        open_photographs(studio.table, tmp_path).picture(0)
