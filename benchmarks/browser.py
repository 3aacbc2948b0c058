"""Speed of the page in Chromium: frames a second of a camera, and the time that the networks' worker takes for each.

    python benchmarks/browser.py [--page dist-page] [--seconds 15] [--json FILE]

The camera is a film of 640x480 in which the face of the example moves, turns and grows. The processor time of the
worker does not depend on other work on the machine, as frames a second do; it is read from /proc, so this needs Linux.
"""

import argparse
import functools
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

import canthus

ROOT = Path(__file__).parents[1]
FRAMES, RATE = 90, 30
WORKER = "DedicatedWorker"
"""Beginning of the name of the thread of a worker."""
COUNT = """() => {
    window.frames_shown = 0;
    new MutationObserver(() => window.frames_shown++).observe(document.querySelector("#rate"), { childList: true });
}"""


def film(path: Path) -> None:
    """Write what the camera sees: Y4M, 640x480."""
    image = canthus.read(ROOT / "examples" / "astronaut.jpg")
    with path.open("wb") as stream:
        stream.write(f"YUV4MPEG2 W640 H480 F{RATE}:1 Ip A0:0 C420jpeg\n".encode())
        for phase in np.linspace(0, 2 * np.pi, FRAMES, endpoint=False):
            move = cv2.getRotationMatrix2D((225, 120), 12 * np.sin(2 * phase), 1.3 + 0.15 * np.sin(phase))
            move[:, 2] += 95 + 60 * np.cos(phase), 100 + 20 * np.sin(phase)
            frame = cv2.warpAffine(image, move, (640, 480), borderMode=cv2.BORDER_REPLICATE)
            stream.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())


class Plain(SimpleHTTPRequestHandler):
    """Serves the page."""

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


class Isolated(Plain):
    """Serves the page with the headers that allow several threads."""

    def end_headers(self) -> None:
        """Add the headers."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def served(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server of the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def worker_seconds() -> float:
    """Processor time of the threads of workers in all browsers of this machine."""
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/task/*/stat"):
        try:
            head, _, tail = place.read_text().rpartition(")")
        except OSError:
            continue  # the thread has ended
        if head.partition("(")[2].startswith(WORKER):
            ticks += sum(map(int, tail.split()[11:13]))
    return ticks / 100


def measured(address: str, camera: Path, seconds: float) -> dict[str, Any]:
    """Frames a second, and milliseconds of the worker for each."""
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options.append(f"--use-file-for-fake-video-capture={camera}")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.goto(address)
        page.wait_for_selector("html[data-state=ready]", timeout=120_000)
        threads = int(page.text_content("#version").split(", ")[1].split()[0])  # type: ignore[union-attr]
        page.evaluate(COUNT)
        page.click("#welcome [data-do=camera]")
        page.wait_for_selector("#faces:not([hidden])", timeout=120_000)
        time.sleep(seconds)  # until the code is compiled
        shown, used, start = page.evaluate("frames_shown"), worker_seconds(), time.perf_counter()
        time.sleep(seconds)
        frames, spent = page.evaluate("frames_shown") - shown, worker_seconds() - used
        rate = frames / (time.perf_counter() - start)
        version = browser.version
        browser.close()
    return {"chromium": version, "threads": threads, "rate": rate, "worker_ms": 1000 * spent / frames}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=ROOT / "dist-page", help="folder that scripts/page has made")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if not (given.page / "model.json").is_file():
        sys.exit(f"{given.page}: no page; make it with scripts/page")
    with tempfile.TemporaryDirectory() as folder:
        camera = Path(folder) / "camera.y4m"
        film(camera)
        rows = []
        for handler in (Plain, Isolated):
            with served(given.page, handler) as address:
                rows.append(measured(address, camera, given.seconds))
                print("{threads} thread(s): {rate:.1f} frames a second, {worker_ms:.1f} ms each".format(**rows[-1]))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
