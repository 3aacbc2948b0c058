import json

import pytest

from canthus.data.catalogue import DATASETS
from canthus.evaluate.protocol import PROTOCOLS, Protocol, ProtocolError
from canthus.schemes.scheme import Scheme

NAMED = [
    "300w-common-interocular",
    "300w-challenging-interpupil",
    "300w-full-interocular",
    "300w-private-indoor",
    "300w-private-outdoor",
    "300w-private-both",
    "lfpw",
    "helen",
    "cofw68-all",
    "cofw68-visible",
    "cofw-29",
    "aflw2000-3d-yawbins",
    "aflw2000-3d-images",
    "menpo3d-tracking",
    "menpo2d-profile-diagonal",
    "menpo2d-semifrontal",
    "aflw-21",
    "300vw-category1",
    "wflw",
    "wflw-largepose",
    "xm2vts",
    "wild68-test",
    "ytf68-test",
]


@pytest.mark.parametrize("name", NAMED)
def test_the_papers_protocols_have_names(name):
    assert Protocol.open(name).name == name


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_protocol_can_be_carried_out(protocol):
    scheme = Scheme.open(protocol.scheme)
    assert protocol.set in DATASETS
    assert protocol.normaliser in (*scheme.normalisers, "box", "diagonal")
    assert not protocol.part or protocol.part in scheme.groups
    assert protocol.source and protocol.boxes
    json.dumps(protocol.as_dict())


def test_subsets_count_up_to_the_full_set():
    faces = {name: protocol.faces for name, protocol in PROTOCOLS.items()}
    assert faces["lfpw"] + faces["helen"] == faces["300w-common-interocular"]
    assert faces["300w-common-interocular"] + faces["300w-challenging-interocular"] == faces["300w-full-interocular"]
    assert faces["300w-private-indoor"] + faces["300w-private-outdoor"] == faces["300w-private-both"]


def test_a_changed_protocol_says_so():
    changed = Protocol.open("wild68-test").changed(threshold=0.05, normaliser=None)
    assert changed.name == "wild68-test with threshold 0.05"
    assert changed.threshold == 0.05
    assert Protocol.open("wild68-test").changed(threshold=0.08, scheme=None).name == "wild68-test"


def test_a_protocol_tells_all_that_matters():
    text = str(Protocol.open("aflw2000-3d-yawbins"))
    for word in ("aflw2000-3d", "yaw aflw", "sqrt(w*h)", "boxes: truth", "0.07", "mean of bins"):
        assert word in text
    assert "inner points" in str(Protocol.open("wild68-test-51"))
    assert "boxes not controlled" in str(Protocol())
    assert "diagonal of the box" in str(Protocol.open("menpo3d-tracking"))
    assert "root mean square" in str(Protocol.open("menpo3d-tracking"))


def test_an_unknown_name_gets_similar_ones():
    with pytest.raises(ProtocolError, match="300w-full-interocular"):
        Protocol.open("300w-full")
    with pytest.raises(ProtocolError, match="wflw"):
        Protocol.open("§")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("normaliser", "ocular", "inter-ocular, inter-pupil, box, diagonal"),
        ("aggregation", "videos", "images, bins"),
        ("mask", "some", "all, visible, annotated"),
        ("measure", "max", "mean, rms"),
        ("dims", 4, "2, 3"),
        ("threshold", 0.0, "above 0"),
        ("aggregation", "bins", "edges"),
    ],
)
def test_a_protocol_that_means_nothing_is_refused(field, value, message):
    with pytest.raises(ProtocolError, match=message):
        Protocol(**{field: value})
