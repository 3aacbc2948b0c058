from pathlib import Path

import numpy as np
import pytest

from canthus.errors import InputError
from canthus.work.arrays import joined, load_arrays, save_arrays


@pytest.mark.parametrize("compress", [True, False])
def test_arrays_come_back(tmp_path: Path, compress: bool) -> None:
    arrays = {"names": np.array(["a", "bcd"]), "points": np.arange(6, dtype=np.float32).reshape(2, 3)}
    save_arrays(tmp_path / "x.npz", arrays, compress)
    again = load_arrays(tmp_path / "x.npz", "not a table", "make one", ["points"])
    assert list(again) == ["names", "points"]
    for name, value in arrays.items():
        assert again[name].dtype == value.dtype
        np.testing.assert_array_equal(again[name], value)
    assert joined([arrays, again])["names"].tolist() == ["a", "bcd", "a", "bcd"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "objects.npz", a=np.array([None]))
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    for name, message in {
        "none.npz": r"none\.npz: not a table: .*; make one",
        "text.npz": "not a table",
        "objects.npz": "not a table",
        "other.npz": "not a table: the array 'b' is missing; make one",
    }.items():
        with pytest.raises(InputError, match=message):
            load_arrays(tmp_path / name, "not a table", "make one", ["a", "b"])
