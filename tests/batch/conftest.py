from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty smooth pictures, one of which is damaged."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(5)
    for number in range(40):
        path = folder / f"{number % 3}" / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        noise = rng.integers(0, 255, (48, 48 + number, 3)).astype(np.uint8)
        assert cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 4))
    (folder / "1" / "07.png").write_text("no picture")
    return folder
