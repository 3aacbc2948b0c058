import numpy as np
import pytest

from canthus.errors import DataError, InputError, SchemeError
from canthus.schemes.transfer import LinearTransfer
from canthus.synth.faces import LabelledFaces, open_labelled
from canthus.synth.pairs import Side, join, make_pairs, read_pairs, write_pairs


@pytest.fixture(scope="module")
def table(studio):
    return open_labelled(studio.table)


def test_sides():
    assert Side.parse("81") == Side("81") and Side.parse("68:outline") == Side("68", True)
    assert [str(Side.parse(text)) for text in ("39_left", "84:outline")] == ["39_left", "84:outline"]
    with pytest.raises(SchemeError, match="no landmark scheme '82'"):
        Side.parse("82")
    with pytest.raises(SchemeError, match="68:outline"):
        Side.parse("68:jaw")


def test_the_same_faces_in_two_schemes(table, toy):
    pairs = make_pairs(table, Side("29"), Side("68"))
    assert len(pairs) == 12 and pairs.of == (Side("29"), Side("68"))
    assert (pairs.source == table.points("29")).all() and (pairs.target == table.points("68")).all()
    assert (pairs.source_visible == table.visible("29")).all() and (pairs.target_visible == table.visible("68")).all()
    assert pairs.inter_ocular == pytest.approx(table.columns["inter_ocular"], rel=0.1)  # an expression may move them
    slid = make_pairs(table, Side("29"), Side("68", True), least=30, model=toy.model)
    kept = np.abs(table.azimuth) >= 30
    assert slid.images.tolist() == table.columns["images"][kept].tolist()
    assert slid.target == pytest.approx(table.outline("68", toy.model)[kept])
    assert np.abs(slid.target[:, :17] - pairs.target[kept][:, :17]).max() > 5
    assert slid.target[:, 17:, :2] == pytest.approx(pairs.target[kept][:, 17:, :2], abs=1e-2)


def test_a_transfer_is_fitted_to_them(table):
    pairs = make_pairs(table, Side("68"), Side("51"))
    transfer = LinearTransfer.fit(pairs.source[..., :2], pairs.target[..., :2])
    assert transfer.apply(pairs.source[..., :2]) == pytest.approx(pairs.target[..., :2], abs=1e-3)


def test_halves_and_outlines_that_mean_nothing_are_left_out(table, tmp_path, rng):
    left = np.ones((12, 39), bool)
    left[3:, ::2] = False
    outline = table.points("68")
    outline[1] = np.nan
    index = {**table.columns, "azimuth": table.azimuth, "sources": table.sources, "outline_68": outline}
    index |= {"points_39_left": rng.normal(size=(12, 39, 3)), "visible_39_left": left}
    run = LabelledFaces(tmp_path / "index.npz", index)
    assert make_pairs(run, Side("68"), Side("39_left")).images.tolist() == table.columns["images"][:3].tolist()
    pairs = make_pairs(run, Side("68", True), Side("39_left"))
    assert pairs.images.tolist() == table.columns["images"][[0, 2]].tolist()
    with pytest.raises(DataError, match="no face has 68 and 39_left at 80 degrees"):
        make_pairs(run, Side("68"), Side("39_left"), least=80)


def test_files(table, tmp_path):
    pairs = make_pairs(table, Side("29"), Side("68"))
    both = join([pairs, pairs])
    assert len(both) == 24 and both.of == pairs.of
    write_pairs(tmp_path / "pairs.npz", both)
    back = read_pairs(tmp_path / "pairs.npz")
    assert back.of == both.of and back.images.tolist() == both.images.tolist()
    for name in ("source", "target", "pose", "azimuth", "inter_ocular"):
        assert getattr(back, name) == pytest.approx(getattr(both, name), rel=1e-5, abs=1e-4)
    assert (back.target_visible == both.target_visible).all()
    with pytest.raises(DataError, match="of the same schemes"):
        join([pairs, make_pairs(table, Side("29"), Side("51"))])


def test_damaged_files(studio, table, tmp_path):
    with pytest.raises(InputError, match=r"no pairs of schemes.*canthus synth pairs"):
        read_pairs(studio.table)
    with pytest.raises(InputError, match="no pairs of schemes"):
        read_pairs(tmp_path / "none.npz")
    write_pairs(tmp_path / "pairs.npz", make_pairs(table, Side("29"), Side("68")))
    arrays = dict(np.load(tmp_path / "pairs.npz"))
    np.savez(tmp_path / "pairs.npz", **{**arrays, "sides": np.array(["29", "51"])})
    with pytest.raises(InputError, match="are not"):
        read_pairs(tmp_path / "pairs.npz")
