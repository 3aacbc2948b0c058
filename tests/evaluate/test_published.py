import pytest

from canthus.evaluate.protocol import PROTOCOLS
from canthus.evaluate.published import _read, published


def doubts(protocol: str) -> dict[str, str]:
    return {row.system: row.doubt for row in published(protocol) if row.doubt}


@pytest.mark.parametrize(
    ("protocol", "system", "sum_of_parts", "printed"),
    [
        ("300w-full-interpupil", "coarse_to_fine", "4.39", "4.47"),
        ("300w-full-interpupil", "score_guided", "4.82", "4.78"),
        ("300w-full-interpupil", "cascaded_cnn", "4.77", "4.85"),
        ("300w-full-interocular", "cascaded_cnn", "3.38", "3.44"),
    ],
)
def test_full_sets_that_are_not_their_subsets_are_marked(protocol, system, sum_of_parts, printed):
    assert sum_of_parts in doubts(protocol)[system]
    assert printed in doubts(protocol)[system]


def test_figures_that_add_up_are_not_marked():
    assert not {"STAR", "SPIGA", "HRNet", "DAN", "CFSS", "LBF"} & doubts("300w-full-interocular").keys()
    assert not {"STAR", "DAN", "CFSS", "LBF", "RAR", "TCDCN"} & doubts("300w-full-interpupil").keys()
    assert not doubts("aflw2000-3d-yawbins")


def test_every_figure_belongs_to_a_protocol():
    data = _read()
    named = {name for row in data["systems"] for key in ("nme", "auc", "failure_rate") for name in row.get(key, {})}
    assert named <= PROTOCOLS.keys()
    assert {row["paper"] for row in data["systems"]} <= data["papers"].keys()
    assert {*data["same"], *data["same"].values()} <= PROTOCOLS.keys()


def test_figures_are_fractions_best_first():
    rows = published("300w-private-both")
    assert rows[0].system == "cascaded_cnn"
    assert (rows[0].nme, rows[0].auc, rows[0].failure_rate) == pytest.approx((0.0333, 0.5867, 0.0083))
    errors = [row.nme for row in rows if row.nme is not None]
    assert errors == sorted(errors)


def test_the_shared_set_has_the_figures_of_its_benchmark():
    best = published("wild68-test")[0]
    assert (best.system, best.nme) == ("cascaded_cnn", pytest.approx(0.033))
    assert published("ytf68-test") == []
    assert published("no such protocol") == []
