"""Makes the folder of the browser page: the page itself, the networks of the package, and onnxruntime-web from npm.

    python -m canthus.serve.page.build dist-page

The folder needs nothing else: any static web server can serve it. Constants of the detector, the landmark scheme and
the calibration of the scores go into `model.json`, so that the page has those of this version of canthus.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import distribution
from inspect import signature
from pathlib import Path
from typing import Any

from canthus.align.calibration import Curve
from canthus.detect import own
from canthus.errors import CanthusError, OutputError
from canthus.geometry.box import OUTLINE
from canthus.pipeline import Pipeline
from canthus.runtime.bundle import Bundle, default_bundle
from canthus.schemes.scheme import Scheme
from canthus.track import filters, smooth, tracker
from canthus.track.state import Rules
from canthus.version import __version__

HERE = Path(__file__).parent
PAGE = ("*.html", "*.css", "*.js", "*.svg", "*.jpg")
"""Files of the page."""
ENGINE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Hash of the package as the npm registry states it."""
ENGINE_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""Files of the package that the page loads."""
NOTICES = ("LICENSE", "ThirdPartyNotices.txt")
"""Licence of ONNX Runtime, which the Python package of the same project holds, as the package of npm does not."""


def build(out: Path, cache: Path) -> list[Path]:
    """Make the folder.

    Args:
        out: The folder; files of an earlier build are replaced.
        cache: Folder that keeps what came from npm for the next build.

    Returns:
        The files made.

    Raises:
        OutputError: npm is missing or fails, or the package is not the one expected.
        BundleError: a bundle of the package is damaged.
    """
    package = fetched(cache)
    (out / "ort").mkdir(parents=True, exist_ok=True)
    made = [Path(shutil.copy(path, out)) for kind in PAGE for path in sorted(HERE.glob(kind))]
    made += list(_engine(package, out / "ort"))
    networks = _networks()
    for name, data in networks.items():
        made.append(out / name)
        made[-1].write_bytes(data)
    model = model_of({path.relative_to(out).as_posix(): path.stat().st_size for path in made if _is_loaded(path)})
    made.append(out / "model.json")
    made[-1].write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    return made


def fetched(cache: Path) -> Path:
    """The files of onnxruntime-web that the page loads, fetched by npm unless the cache has them.

    Returns:
        The folder that holds `ENGINE_FILES`.

    Raises:
        OutputError: npm is missing or fails, or the package has another hash than `INTEGRITY`.
    """
    folder = cache / f"{ENGINE}-{VERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as place:
        _npm("pack", f"{ENGINE}@{VERSION}", "--ignore-scripts", "--pack-destination", place)
        package, made = Path(place) / f"{ENGINE}-{VERSION}.tgz", Path(place) / "files"
        kind, _, expected = INTEGRITY.partition("-")
        found = base64.b64encode(hashlib.new(kind, package.read_bytes()).digest()).decode()
        if found != expected:
            raise OutputError(f"npm gave another {ENGINE} {VERSION} than the one published (its hash differs)")
        made.mkdir()
        with tarfile.open(package) as archive:
            for name in ENGINE_FILES:
                content = archive.extractfile(f"package/dist/{name}")
                assert content is not None
                (made / name).write_bytes(content.read())
        with suppress(OSError):  # another build has made the folder meanwhile
            made.rename(folder)
    return folder


def _npm(*words: str) -> None:
    """Run npm."""
    npm = shutil.which("npm")
    if npm is None:
        raise OutputError(f"npm is not installed; the page needs it once, to fetch {ENGINE} {VERSION}")
    done = subprocess.run([npm, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OutputError(f"npm {words[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def _engine(package: Path, folder: Path) -> Iterator[Path]:
    """The files of onnxruntime-web and its licence, copied into a folder."""
    for name in ENGINE_FILES:
        yield Path(shutil.copy(package / name, folder))
    notices = {path.name: path for path in distribution("onnxruntime").files or () if path.name in NOTICES}
    for name in NOTICES:
        if name not in notices:
            raise OutputError(f"the package onnxruntime holds no {name}, which must go with {ENGINE}; install it again")
        yield Path(shutil.copy(str(notices[name].locate()), folder))


def _networks() -> dict[str, bytes]:
    """The networks of the package by file name."""
    return {
        f"{part}.onnx": Bundle.open(default_bundle(stem)).network(part)
        for stem, part in (("detector", "detector"), ("default", "landmarks"), ("face_score", "face_score"))
    }


def _is_loaded(path: Path) -> bool:
    """Whether the page loads a file before it can find faces, which takes time over a slow connection."""
    return path.suffix in (".onnx", ".wasm")


def model_of(sizes: dict[str, int]) -> dict[str, Any]:
    """What the page must know of the models.

    Args:
        sizes: Files that are loaded before the first picture, and their sizes in bytes.
    """
    bundle, scorer = Bundle.open(), Bundle.open(default_bundle("face_score"))
    stage, crop = bundle.card.stages[0], scorer.card.stages[0].crop
    curve, scheme = Curve.of(bundle.arrays(stage)), Scheme.open(bundle.card.scheme)
    if stage.crop is None or crop is None or curve is None:
        raise OutputError(f"{bundle.path}: a bundle of the package lacks its crop or its curve of scores")
    options = {name: option.default for name, option in signature(own.OwnDetector).parameters.items()}
    return {
        "canthus": __version__,
        "files": sizes,
        "licence": bundle.card.licence,
        "passes": signature(Pipeline).parameters["passes"].default,
        "outline": OUTLINE.tolist(),
        "scheme": {
            "name": scheme.name,
            "title": scheme.title,
            "names": scheme.names,
            "groups": {"contour": scheme.contour, **scheme.components},
            "curves": scheme.curves,
        },
        "landmarks": {
            "size": stage.crop.size,
            "margin": stage.crop.margin,
            "curve": {"claimed": curve.claimed.tolist(), "actual": curve.true.tolist()},
        },
        "detector": {
            **{name: options[name] for name in ("threshold", "overlap", "max_side")},
            "smallest": own.SMALLEST,
            "share": own.SHARE,
            "shown": own.SHOWN,
            "strides": own.STRIDES,
            "unit": own.UNIT,
            "grey": own.GREY,
            "tile": own.TILE,
            "shared": own.SHARED,
            "step": own.STEP,
            "whole": own.WHOLE,
            "last": own.LAST,
            "most": own.MOST,
        },
        "face_score": {"size": crop.size, "margin": crop.margin},
        "follow": {
            "covered": tracker.COVERED,
            "every": signature(tracker.Tracker).parameters["every"].default,
            "face_score": Rules().face_score,
            "reliability": Rules().reliability,
            "patience": Rules().patience,
        },
        "smoothing": {
            **asdict(smooth.Smoothing.of(scheme.name)),
            "speed": filters.SPEED_CUTOFF,
            "least": smooth.LEAST,
            "gap": smooth.GAP,
        },
    }


def main(words: Sequence[str]) -> int:
    """Make the folder that the command line names; the exit code."""
    if len(words) != 1 or words[0].startswith("-"):
        print("usage: python -m canthus.serve.page.build FOLDER        as in: ... build dist-page", file=sys.stderr)
        return 2
    out = Path(words[0])
    try:
        made = build(out, Path.home() / ".cache" / "canthus")
    except CanthusError as error:
        print(f"canthus: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {len(made)} files, {sum(path.stat().st_size for path in made) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
