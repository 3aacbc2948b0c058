"""The live window on a display without a screen (Xvfb), where there is one."""

import shutil
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pytest

from canthus.video.window import LiveWindow

IMAGE = np.zeros((48, 64, 3), np.uint8)
IMAGE[:, :32], IMAGE[:, 32:] = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "320x240x24"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        name = f":{server.stdout.readline().decode().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        yield name
        server.terminate()


def test_a_window_shows_pictures_until_it_is_closed(display: str) -> None:
    image_grab = pytest.importorskip("PIL.ImageGrab")
    with LiveWindow("canthus") as window:
        assert window.show(IMAGE[:24]) and window.show(IMAGE) and window.show(IMAGE[:, ::-1]) and window.show(IMAGE)
        window._root.geometry("+0+0")
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            window.show(IMAGE)
            screen = np.array(image_grab.grab(xdisplay=display))
            if screen[20, 10].tolist() == [200, 30, 30]:
                break
        assert screen[20, 10].tolist() == [200, 30, 30] and screen[20, 50].tolist() == [30, 30, 200]
        window._root.focus_force()
        window._root.update()
        window._root.event_generate("<Escape>")
        assert not window.show(IMAGE)
