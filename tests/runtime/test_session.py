import numpy as np
import pytest

from canthus.errors import BundleError, CanthusError
from canthus.runtime.bundle import Bundle
from canthus.runtime.session import Session


def test_outputs_come_by_name() -> None:
    bundle = Bundle.open()
    crop = bundle.card.stages[0].crop
    assert crop is not None
    size = crop.size
    out = Session(bundle.network("landmarks")).run(np.zeros((3, size, size, 3), np.uint8))
    assert {name: value.shape for name, value in out.items()} == {
        "points": (3, 68, 2),
        "scores": (3, 68),
        "pose": (3, 3),
    }


def test_a_damaged_network() -> None:
    with pytest.raises(BundleError, match="cannot load"):
        Session(b"not a network")


def test_a_device_that_is_not_here() -> None:
    with pytest.raises(CanthusError, match="onnxruntime-gpu"):
        Session(b"", device="cuda")
    with pytest.raises(CanthusError, match="no device is called"):
        Session(b"", device="abacus")  # type: ignore[arg-type]
