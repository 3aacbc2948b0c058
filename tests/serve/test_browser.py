"""The page in a browser: a picture dropped gives the points of Python, and nothing leaves the machine."""

import base64
import functools
import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import canthus
from canthus.errors import OutputError
from canthus.serve.page.build import build
from canthus.types import Image

sync_api = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

DROP = """([data, name]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type: "image/png" }));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def astronaut() -> Image:
    return canthus.read(ROOT / "examples" / "astronaut.jpg")


class Asked(SimpleHTTPRequestHandler):
    """A web server of a folder, or of nothing, that notes what it is asked for."""

    log: list[str]

    def log_message(self, *words: Any) -> None:
        type(self).log.append(self.requestline)


@functools.cache
def served(folder: Path) -> tuple[str, list[str]]:
    """Address of a new server of a folder, and what it is asked for."""
    handler = type("Handler", (Asked,), {"log": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/", handler.log  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page."""
    folder: Path = tmp_path_factory.mktemp("page")
    try:
        build(folder, Path.home() / ".cache" / "canthus")
    except OutputError as error:
        if "npm" not in str(error):
            raise
        pytest.skip(f"onnxruntime-web cannot be fetched: {error}")
    return folder


@pytest.fixture(scope="module")
def seen(astronaut: Image) -> Image:
    """What the camera of the browser sees."""
    return np.ascontiguousarray(astronaut[:240, 64:384])


@pytest.fixture(scope="module")
def film(seen: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a film of one frame."""
    path: Path = tmp_path_factory.mktemp("film") / "camera.y4m"
    frame = cv2.cvtColor(seen, cv2.COLOR_RGB2YUV_I420).tobytes()
    path.write_bytes(b"YUV4MPEG2 W320 H240 F10:1 Ip A0:0 C420jpeg\nFRAME\n" + frame)
    return path


@pytest.fixture(scope="module")
def page(folder: Path, film: Path) -> Iterator[Any]:
    """The page, opened in Chromium."""
    options = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options += [f"--use-file-for-fake-video-capture={film}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page(viewport={"width": 900, "height": 480})
        page.asked, page.wrong = [], []
        page.context.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(served(folder)[0])
        page.wait_for_selector("html[data-state=ready]", timeout=60_000)
        yield page
        browser.close()


def pasted(astronaut: Image) -> Image:
    """A picture with three faces: upright, rotated by a third of a turn, and three times as large."""
    part, canvas = astronaut[:240, 110:350], np.full((720, 970, 3), 90, np.uint8)
    canvas[:240, :240] = part
    canvas[240:480, :240] = cv2.warpAffine(part, cv2.getRotationMatrix2D((120, 120), -120, 1), (240, 240))
    canvas[:, 250:] = cv2.resize(part, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    return canvas


def dropped(page: Any, image: Image, name: str) -> None:
    """Drop a picture onto the page and wait for its faces."""
    done, png = cv2.imencode(".png", image[..., ::-1])
    assert done
    page.evaluate(DROP, [base64.b64encode(png.tobytes()).decode(), name])
    page.wait_for_selector(f"#canvas[aria-label^='{name}:']:not([aria-busy])", timeout=60_000)


def saved(page: Any, kind: str) -> str:
    """The file that a button makes."""
    with page.expect_download() as download:
        page.click(f"[data-save={kind}]")
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_dropped_picture_has_the_points_of_python_and_stays_here(page: Any, folder: Path, astronaut: Image) -> None:
    image = pasted(astronaut)
    before = len(page.asked)
    dropped(page, image, "three.png")
    found = json.loads(saved(page, "json"))["images"][0]
    expected = canthus.Pipeline.open()(image)
    assert (found["image"], found["width"], found["height"]) == ("three.png", 970, 720)
    assert len(found["faces"]) == len(expected) == 3
    for one, face in zip(found["faces"], expected, strict=True):
        assert np.abs(np.array(one["points"]) - face.points).max() < 0.1
        np.testing.assert_allclose(one["scores"], face.scores, atol=0.01)
        np.testing.assert_allclose([one["pose"][name] for name in ("yaw", "pitch", "roll")], face.pose, atol=0.1)
        np.testing.assert_allclose(one["confidence"], face.confidence, atol=1e-4)
    assert saved(page, "csv").count("\n") == 4
    address, log = served(folder)
    assert all(url.startswith((address, "blob:")) for url in page.asked), page.asked
    assert all(url.startswith("blob:") for url in page.asked[before:])
    assert all(line.startswith("GET ") for line in log)
    assert not page.wrong


def test_points_are_named_by_keys_and_by_the_pointer(page: Any, astronaut: Image) -> None:
    dropped(page, astronaut, "astronaut.png")
    page.focus("#canvas")
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#label") == "Chin"
    assert "Chin (8)" in page.inner_text("#facts")
    page.keyboard.press("Escape")
    assert page.is_hidden("#label")
    lines = saved(page, "pts").splitlines()
    tip = np.array([float(value) for value in lines[3 + 30].split()]) - 1
    box = page.locator("#canvas").bounding_box()
    scale = min(box["width"], box["height"]) / 512
    x, y = box["x"] + (box["width"] - 512 * scale) / 2, box["y"] + (box["height"] - 512 * scale) / 2
    page.mouse.move(x + (tip[0] + 0.5) * scale, y + (tip[1] + 0.5) * scale)
    assert page.inner_text("#label") == "Nose tip"
    assert not page.wrong


def test_the_camera_is_followed(page: Any, seen: Image) -> None:
    page.click("#camera")
    page.wait_for_selector("#rate:has-text('frames a second')", timeout=60_000)
    page.wait_for_selector("#faces:not([hidden])", timeout=60_000)
    page.click("#take")
    page.wait_for_selector("#save:not([hidden])", timeout=60_000)
    (face,) = json.loads(saved(page, "json"))["images"][0]["faces"]
    expected = canthus.Pipeline.open()(seen).points[0]
    assert np.abs(np.array(face["points"]) - expected).max() < 1.5  # the film has half of the colour resolution
    assert not page.wrong


def test_the_page_can_reach_no_other_machine(page: Any, tmp_path: Path) -> None:
    """Neither the page nor its worker, which sees the pictures."""
    address, log = served(tmp_path)
    attempt = f"fetch('{address}').then(() => 'sent', () => 'refused')"
    assert page.evaluate(attempt) == "refused"
    assert [worker.evaluate(attempt) for worker in page.workers] == ["refused"]
    assert not log
