"""Fixtures that every test may ask for."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("canthus", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.load_profile("canthus")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The shared data sets; tests that need them carry the mark `data`."""
    folder = os.environ.get("CANTHUS_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CANTHUS_DATA_REQUIRED"):
        pytest.fail(f"CANTHUS_DATA ({folder}) is not a folder, and here the tests on data must run")
    pytest.skip("CANTHUS_DATA does not name the folder of the shared data")
