"""`canthus detect` from its arguments to its files and exit code, with a bundle whose network answers with one face."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image as Pillow

from canthus.formats.table import load
from canthus.geometry.crop import Crop
from canthus.reader.image import read
from canthus.runtime.bundle import write_bundle
from canthus.work.files import PART
from canthus.work.journal import JOURNAL
from canthus.writer.images import OVERLAY_FACE
from toy_card import toy_card

PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
SIZE, EXTENT = 32, 1.25


def network() -> bytes:
    """Crops -> 68 points on a ring in the middle of the crop, shifted by the mean of the crop over 255."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    ring = (SIZE - 1) / 2 + SIZE / EXTENT / 2 * np.stack([np.cos(angle), np.sin(angle)], -1)
    constants = {
        "ring": ring[None].astype(np.float32),
        "white": np.float32(255),
        "flat": np.array([-1, 1, 1]),
        "row": np.array([-1, 1]),
        "half": np.full((1, 68), 0.5, np.float32),
        "angles": np.array([[10, 20, 30]], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["crops"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["bytes"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Div", ["mean", "white"], ["shade"]),
        helper.make_node("Reshape", ["shade", "flat"], ["shift"]),
        helper.make_node("Add", ["shift", "ring"], ["points"]),
        helper.make_node("Reshape", ["shade", "row"], ["bright"]),
        helper.make_node("Mul", ["bright", "half"], ["scores"]),
        helper.make_node("Mul", ["bright", "angles"], ["pose"]),
    ]
    graph = helper.make_graph(
        nodes,
        "ring",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("points", TensorProto.FLOAT, ["N", 68, 2]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 68]),
            helper.make_tensor_value_info("pose", TensorProto.FLOAT, ["N", 3]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    networks = {"ring.onnx": network()}
    files = {"landmarks": {"fp32": ("ring.onnx", networks["ring.onnx"])}}
    card = toy_card("compact", files, Crop(SIZE, EXTENT), name="ring")  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("bundle") / "ring.canthus"
    write_bundle(path, card, networks)
    return path


@pytest.fixture
def detect(bundle, monkeypatch, capfd):  # type: ignore[no-untyped-def]
    """Run the command; returns its exit code and what it said, in one line."""

    def run(*arguments: object, model: Path = bundle) -> tuple[int, str]:
        from canthus.cli import main

        words = ["canthus", "detect", *map(str, arguments), "--model", str(model), "--threads", "1"]
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setenv("COLUMNS", "400")
        capfd.readouterr()
        with pytest.raises(SystemExit) as leave:
            main()
        return int(leave.value.code or 0), " ".join(" ".join(capfd.readouterr()).split())

    return run


def save(path: Path, seed: int = 0, side: int = 64) -> Path:
    """A smooth picture without a face."""
    noise = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 7))
    return path


def box_table(path: Path, names: list[str], box: str = "10,10,50,55") -> Path:
    path.write_text("image,x0,y0,x1,y1\n" + "".join(f"{name},{box}\n" for name in names))
    return path


def outputs(folder: Path) -> dict[str, bytes]:
    """Content of all results."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


def test_portrait(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = detect(PORTRAIT, "-o", tmp_path, "--format", "json,csv,pts", "--overlay")
    assert code == 0 and "images 1" in said and "faces 1" in said
    assert list(outputs(tmp_path)) == ["astronaut.jpg", "astronaut.json", "astronaut_0.pts", "faces.csv"]
    entry = json.loads((tmp_path / "astronaut.json").read_text())["images"][0]
    assert (entry["image"], entry["width"], entry["height"], entry["scheme"]) == ("astronaut.jpg", 512, 512, "68")
    (face,) = entry["faces"]
    np.testing.assert_allclose(face["box"], [189, 87, 269, 169], atol=16)
    x0, y0, x1, y1 = face["box"]
    points = np.array(face["points"])
    np.testing.assert_allclose((points.min(0) + points.max(0)) / 2, [(x0 + x1) / 2, (y0 + y1) / 2], atol=5)
    assert np.ptp(points[:, 0]) == pytest.approx(max(x1 - x0, y1 - y0), abs=1)
    np.testing.assert_allclose(load(tmp_path / "astronaut_0.pts")[0].points, points, atol=1e-4)
    side = 512 * round(OVERLAY_FACE / max(x1 - x0, y1 - y0))
    assert read(tmp_path / "astronaut.jpg").shape == (side, side, 3) and side > 512


def test_every_bad_input(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    source, out = tmp_path / "in", tmp_path / "out"
    save(source / "good.jpg")
    whole = (source / "good.jpg").read_bytes()
    (source / "text.jpg").write_text("not an image")
    (source / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "empty.png").write_bytes(b"")
    save(source / "one.png", side=1)
    huge = bytearray(whole)
    start = huge.index(b"\xff\xc0") + 5
    huge[start : start + 4] = b"\x75\x30\x75\x30"
    (source / "huge.jpg").write_bytes(huge)
    frame = Pillow.open(source / "good.jpg")
    frame.convert("CMYK").save(source / "cmyk.jpg")
    frame.save(source / "moving.gif", save_all=True, append_images=[frame.rotate(90)])
    code, said = detect(source, "-o", out)
    assert code == 1
    assert sorted(outputs(out)) == ["cmyk.json", "good.json", "moving.json", "one.json"]
    assert "images 4" in said and "no face in 4 images" in said and "failed 4 images" in said
    for name, reason in {
        "text.jpg": "not an image",
        "cut.jpg": "cut short",
        "empty.png": "the file is empty",
        "huge.jpg": "30000 x 30000 pixels are more than",
    }.items():
        assert f"{source / name}: " in said and reason in said


def test_no_face_is_no_failure(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = detect(save(tmp_path / "blank.png"), "-o", tmp_path / "out", "--format", "json,csv")
    assert code == 0 and "faces 0; no face in 1 images" in said
    assert json.loads((tmp_path / "out" / "blank.json").read_text())["images"][0]["faces"] == []
    assert [record.empty for record in load(tmp_path / "out" / "faces.csv")] == [True]


def test_200_faces(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    image = save(tmp_path / "crowd.png", side=256)
    corners = np.stack(np.meshgrid(np.arange(20) * 12, np.arange(10) * 24), -1).reshape(-1, 2)
    rows = "".join(f"crowd.png,{x},{y},{x + 10},{y + 12}\n" for x, y in corners)
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\n" + rows)
    boxes = ["--boxes", tmp_path / "boxes.csv", "--format", "csv"]
    for batch in (1, 7, 32):
        code, said = detect(image, "-o", tmp_path / f"{batch}", *boxes, "--batch", batch)
        assert code == 0 and "faces 200" in said
    records = load(tmp_path / "32" / "faces.csv")
    np.testing.assert_array_equal([record.box[:2] for record in records], corners)
    for batch in (1, 7):
        other = load(tmp_path / f"{batch}" / "faces.csv")
        np.testing.assert_allclose([a.points for a in other], [b.points for b in records], atol=1e-3)


def test_boxes_and_their_columns(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    save(tmp_path / "a" / "x.png")
    save(tmp_path / "b" / "x.png")
    (tmp_path / "boxes.csv").write_text("image,my_x0,my_y0,my_x1,my_y1\na/x.png,10,10,50,50\n")
    options = ["-o", tmp_path / "out", "--boxes", tmp_path / "boxes.csv", "--boxes-columns", "my_"]
    code, said = detect(tmp_path / "a", tmp_path / "b", *options)
    assert code == 1 and "b/x.png: no boxes in" in said
    assert sorted(outputs(tmp_path / "out")) == ["a/x.json"]
    np.testing.assert_array_equal(load(tmp_path / "out" / "a" / "x.json")[0].box, [10, 10, 50, 50])


def test_results_can_be_boxes_again(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    image = save(tmp_path / "a.png")
    detect(image, "-o", tmp_path / "1", "--boxes", box_table(tmp_path / "b.csv", ["a.png"]))
    detect(image, "-o", tmp_path / "2", "--boxes", tmp_path / "1" / "a.json")
    first, second = (load(tmp_path / name / "a.json")[0] for name in "12")
    np.testing.assert_array_equal(first.points, second.points)


def test_one_mistyped_name_among_others_is_listed(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = detect(save(tmp_path / "a.png"), tmp_path / "b.png", "-o", tmp_path / "out")
    assert code == 1 and "images 1" in said and "b.png: no such file" in said


def test_odd_names_and_loops(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Each image is done or reported; square brackets are no markup, and the terminal obeys no name."""
    source = tmp_path / "in[/x]"
    for name in ("a.png", "caf\udce9.png", "[red]b.png", "line\nbreak.png"):
        save(source / "plain.png").replace(source / name)
    (source / "broken\x1b[2J.png").write_text("no image")
    (source / "loop.png").symlink_to("loop.png")
    (source / "again").symlink_to(source)
    os.link(source / "a.png", source / ("x" * 251 + ".png"))
    out = tmp_path / "out[/x]"
    code, said = detect(source, "-o", out, "--format", "json,csv")
    assert code == 1 and "images 4" in said and f"results {out}" in said and "failed 2 images" in said
    assert "broken\\x1b[2J.png: not an image" in said and "x.png: its results cannot have its name" in said
    assert {record.image for record in load(out / "faces.csv")} >= {"a.png", "caf\\xe9.png", "[red]b.png"}
    assert len(list(out.glob("*.json"))) == 4


@pytest.mark.parametrize("option", ["--format", "--detector", "--device", "--boxes-columns"])
def test_brackets_in_options(option: str, detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = detect(PORTRAIT, "-o", tmp_path / "out", option, "[/x]")
    assert code == 2 and ("[/x]" in said or option == "--boxes-columns")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "xml"], "'xml': choose one or several of json, csv, pts"),
        (["--format", ""], "choose one or several of"),
        (["--detector", "hal"], "'hal' is not one of mtcnn, none, opencv, own"),
        (["--detector", "given"], "'given' is not one of mtcnn"),
        (["--detector", "none", "--min-confidence", "0.4"], "the detector none has no --min-confidence"),
        (["--detector", "opencv", "--detector-model", "own.canthus"], "the detector opencv has no --detector-model"),
        (["--boxes-columns", "tight_"], "names the columns of a file that --boxes gives"),
        (["--precision", "fp8"], "fp8"),
        (["--device", "abacus"], "abacus"),
        (["--batch", "0"], "be greater than or equal to 1"),
        (["--colour"], "--colour"),
    ],
)
def test_wrong_usage(options: list[str], message: str, detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = detect(PORTRAIT, "-o", tmp_path / "out", *options)
    assert code == 2 and message in said
    assert not (tmp_path / "out").exists()


def test_overlays_need_a_folder_of_their_own(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    image = save(tmp_path / "a.jpg")
    before = image.read_bytes()
    code, said = detect(tmp_path, "-o", tmp_path, "--overlay")
    assert code == 2 and "need different folders" in said
    code, said = detect(image, "-o", tmp_path, "--overlay")
    assert code == 3 and "would replace an image" in said
    assert image.read_bytes() == before


def test_nothing_can_be_done(detect, bundle: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    assert detect(tmp_path / "empty", "-o", out)[0] == 3
    code, said = detect(PORTRAIT, "-o", out, model=tmp_path / "gone.canthus")
    assert code == 3 and "gone.canthus: no such model bundle" in said
    damaged = tmp_path / "damaged.canthus"
    damaged.write_bytes(bundle.read_bytes()[:-30])
    code, said = detect(PORTRAIT, "-o", out, model=damaged)
    assert code == 3 and "damaged.canthus" in said
    for text, reason in {"10,nan,50,50": "not a finite number", "50,50,10,10": "no area"}.items():
        code, said = detect(PORTRAIT, "-o", out, "--boxes", box_table(tmp_path / "b.csv", ["astronaut.jpg"], text))
        assert code == 3 and reason in said and "b.csv:2: astronaut.jpg" in said
    code, said = detect(tmp_path / "photoz", "-o", out)
    assert code == 3 and f"{tmp_path / 'photoz'}: no such file or folder" in said
    (tmp_path / "loop").symlink_to("loop")
    assert detect(tmp_path / "loop", "-o", out)[0] == 3
    assert not out.exists()
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "out", Path("/proc/canthus")):
        code, said = detect(save(tmp_path / "a.png"), "-o", place)
        assert code == 3 and f"{place}: cannot be written to" in said


def test_full_disk_ends_the_run(detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    import errno

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    image = save(tmp_path / "a.png")
    monkeypatch.setattr(Path, "write_bytes", full)
    code, said = detect(image, "-o", tmp_path / "out", "--overlay")
    assert code == 3 and "a.jpg: cannot be written: No space left on device" in said
    assert outputs(tmp_path / "out") == {}


def test_results_within_the_images_are_no_images(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    save(tmp_path / "sub" / "a.png")
    for _ in range(2):
        code, said = detect(tmp_path, "-o", tmp_path / "out", "--overlay")
        assert code == 0 and "images 1" in said
    assert list(outputs(tmp_path / "out")) == ["sub/a.jpg", "sub/a.json"]


def test_options_of_the_detector(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    two = np.hstack([read(PORTRAIT)[50:220, 140:330]] * 2)
    cv2.imwrite(str(tmp_path / "two.png"), two[..., ::-1])
    for options, faces in (([], 2), (["--max-faces", 1], 1), (["--min-face", 160], 0)):
        code, said = detect(tmp_path / "two.png", "-o", tmp_path / "out", *options)
        assert code == 0 and f"faces {faces}" in said


def test_other_detectors(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out, other, bundle = tmp_path / "out", tmp_path / "other", tmp_path / "gone.canthus"
    code, said = detect(PORTRAIT, "-o", out, "--detector", "none", "--passes", 1)
    assert code == 0 and "faces 1" in said
    np.testing.assert_allclose(load(out / "astronaut.json")[0].box, [-0.5, -0.5, 511.5, 511.5])
    code, said = detect(PORTRAIT, "-o", other, "--detector", "own", "--detector-model", bundle)
    assert code == 3 and "gone.canthus: no such bundle" in said and "canthus train detector" in said
    assert not other.exists()


@pytest.fixture
def many(tmp_path: Path) -> list[object]:
    """Arguments for a run over images that takes a few seconds."""
    names = [f"{number // 20}/{number:03}.png" for number in range(80)]
    for seed, name in enumerate(names):
        save(tmp_path / "in" / name, seed, 96)
    table = box_table(tmp_path / "boxes.csv", names)
    return [tmp_path / "in", "--boxes", table, "--format", "json,csv,pts", "--overlay", "--batch", "4"]


def start(bundle: Path, out: Path, arguments: list[object]) -> subprocess.Popen[bytes]:
    """The command in a process of its own, stopped by the caller when it has begun to write."""
    words = ["detect", *map(str, arguments), "-o", str(out), "--model", str(bundle), "--threads", "1"]
    # whoever runs the tests in the background of a shell hands down that interrupts are ignored
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{listen}; import sys; from canthus.cli import main; sys.argv[0] = 'canthus'; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    journal = out / JOURNAL
    while process.poll() is None and time.monotonic() < deadline:
        if journal.is_file() and journal.stat().st_size and len(list(out.glob("0/[!.]*.json"))) >= 5:
            break
        time.sleep(0.005)
    assert process.poll() is None, (process.stderr.read() if process.stderr else b"").decode()
    return process


def test_killed_run_is_finished_by_the_next(detect, many, bundle: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    process = start(bundle, out, many)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = outputs(out)
    assert 5 <= len([name for name in left if name.endswith(".json")]) < 80 and "faces.csv" not in left
    for name in left:
        assert (read(out / name).size if name.endswith(".jpg") else len(load(out / name))) >= 1
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    code, said = detect(*many, "-o", out, "--resume")
    assert code == 0 and "more were finished before" in said
    assert sum(path.stat().st_mtime_ns == then for path, then in written.items()) >= 1
    assert not [path for path in out.rglob("*") if PART.fullmatch(path.name)]
    code, _ = detect(*many, "-o", tmp_path / "whole")
    assert code == 0 and outputs(out) == outputs(tmp_path / "whole")
    with (out / "faces.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 80
    code, said = detect(*many, "-o", out, "--resume")
    assert code == 0 and "images 0, 80 more were finished before" in said


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")]
)
def test_a_signal_keeps_what_there_is(  # type: ignore[no-untyped-def]
    number: signal.Signals, code: int, word: bytes, many, bundle: Path, tmp_path: Path
) -> None:
    process = start(bundle, tmp_path / "out", many)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code and said.splitlines()[-1] == b"canthus: " + word
    left = outputs(tmp_path / "out")
    done = [name for name in left if name.endswith(".json")]
    assert len(done) < 80 and len(load(tmp_path / "out" / "faces.csv")) in (len(done), len(done) - 1)


def test_files_of_a_folder_that_are_no_images_are_counted_aloud(detect, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    save(tmp_path / "in" / "a.png")
    for name in ("b.mov", "c.mov", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"")
    code, said = detect(tmp_path / "in", "-o", tmp_path / "in" / "out", "--detector", "none")
    assert code == 0 and "3 files in the folders are not images and were skipped: 2 .mov, 1 .txt" in said
