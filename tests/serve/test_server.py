import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import canthus
from canthus.formats.faces import faces_in
from canthus.formats.table import load
from canthus.serve.schema import FacesForm
from reader.attacks import deep_png, huge
from serve.conftest import TOKEN
from serve.running import ASTRONAUT, ask, form_of, head, rest, running, wire


@pytest.fixture(scope="module")
def expected() -> canthus.Faces:
    """The faces of the photograph as the library finds them."""
    return canthus.Pipeline.open()(Path(__file__).parents[2] / "examples" / "astronaut.jpg")


def test_an_answer_is_the_content_of_a_json_file_of_the_library(server: int, expected: canthus.Faces, tmp_path) -> None:
    answer = ask(server, body=ASTRONAUT, Content_Type="image/jpeg")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    (tmp_path / "answer.json").write_bytes(answer.body)
    (found,) = load(tmp_path / "answer.json")
    (known,) = faces_in("", (512, 512), expected)
    assert (found.size, found.scheme, found.image) == (known.size, known.scheme, known.image)
    for name in ("points", "box", "scores", "confidence", "pose"):
        np.testing.assert_allclose(getattr(found, name), getattr(known, name), atol=1e-2)


def test_a_form_and_any_plain_type_give_the_same_answer(server: int) -> None:
    plain = ask(server, body=ASTRONAUT, Content_Type="application/x-www-form-urlencoded")  # as curl --data-binary
    form, kind = form_of(ASTRONAUT, name="whatever", fields=2)
    assert plain.status == 200
    assert ask(server, body=form, Content_Type=kind).body == plain.body
    assert ask(server, body=ASTRONAUT).body == plain.body


def test_a_body_without_a_stated_length(server: int) -> None:
    parts = [ASTRONAUT[at : at + 9000] for at in range(0, len(ASTRONAUT), 9000)]
    start = b"POST /v1/faces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    with wire(server, start, *chunks, b"0\r\n\r\n") as connection:
        assert rest(connection).startswith(b"HTTP/1.1 200")


def test_a_picture_without_a_face(server: int) -> None:
    grey = b"P6 40 30 255 " + bytes([128]) * 3600
    (image,) = ask(server, body=grey).json["images"]
    assert image == {"image": "", "width": 40, "height": 30, "scheme": "68", "faces": []}


FORM = "multipart/form-data; boundary=frontier"
REFUSED = {
    "too many bytes": ({"body": bytes(2_000_001)}, 413, "larger than 2 MB"),
    "a form with too many bytes": ({"body": form_of(bytes(2_000_001))[0], "Content_Type": FORM}, 413, "larger than 2"),
    "too many pixels": ({"body": huge("PNG")}, 413, "30000 x 30000 pixels"),
    "a bomb": ({"body": deep_png(3000, 3000)}, 413, "3000 x 3000 pixels"),
    "text by its type": ({"body": b"{}", "Content_Type": "application/json"}, 415, "application/json"),
    "text by its bytes": ({"body": b"hello", "Content_Type": "image/jpeg"}, 415, "not an image that canthus reads"),
    "a video": ({"body": b"\0\0\0\x18ftypmp42" + bytes(99)}, 415, "not an image"),
    "nothing": ({"body": b""}, 422, "no picture"),
    "a picture cut short": ({"body": ASTRONAUT[:9000]}, 422, "cut short"),
    "a form without a file": ({"body": form_of(fields=1)[0], "Content_Type": FORM}, 422, "holds no files"),
    "a form with two files": ({"body": form_of(ASTRONAUT, ASTRONAUT)[0], "Content_Type": FORM}, 422, "holds 2 files"),
    "a form with many fields": ({"body": form_of(fields=10)[0], "Content_Type": FORM}, 422, "more than 9 parts"),
    "a form without a frontier": ({"body": b"x", "Content_Type": "multipart/form-data"}, 422, "boundary"),
    "a form cut short": ({"body": form_of(ASTRONAUT)[0][:-30], "Content_Type": FORM}, 422, "cut short"),
    "a form that is none": ({"body": b"--frontierX", "Content_Type": FORM}, 422, "form"),
    "an address that is not there": ({"path": "/v2/faces"}, 404, "/openapi.json"),
    "a file": ({"path": "/../../etc/passwd"}, 404, "Not Found"),
    "another method": ({"method": "PUT", "body": b"x"}, 405, "Method Not Allowed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(server: int, name: str) -> None:
    request, status, message = REFUSED[name]
    answer = ask(server, **request)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert set(answer.json) == {"error", "message"}
    assert message in answer.json["message"]


def test_a_body_too_large_by_its_header_is_refused_before_it_is_sent(server: int) -> None:
    with wire(server, head(10**12, Expect="100-continue")) as connection:
        assert rest(connection).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_refused_in_time(server: int) -> None:
    begun = time.monotonic()
    with wire(server, head(1000), b"x") as connection:
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"too_slow"' in answer
    assert 1 < time.monotonic() - begun < 6


def test_one_client_may_not_take_all_places_and_nobody_more_than_there_are(server: int) -> None:
    with wire(server, head(9)), wire(server, head(9)), wire(server, head(9)), wire(server, head(9)):
        time.sleep(0.1)
        assert ask(server, "/health").status == 200
        answer = ask(server, body=b"x")
    assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (429, "too_many_requests", "1")
    with running(max_queue=1, max_per_client=9) as other, wire(other, head(9)):
        time.sleep(0.1)
        answer = ask(other, body=b"x")
    assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (503, "busy", "1")


@pytest.mark.parametrize(
    "given", ["", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer", "Bearer \xff"]
)
def test_a_wrong_token(locked: int, given: str) -> None:
    headers = {"Authorization": given} if given else {}
    for path, data in (("/v1/faces", ASTRONAUT), ("/metrics", None)):
        answer = ask(locked, path, data, **headers)
        assert (answer.status, answer.json["error"]) == (401, "unauthorised")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.body.decode()


def test_the_right_token(locked: int) -> None:
    assert ask(locked, body=ASTRONAUT, Authorization=f"bearer {TOKEN}").status == 200
    assert ask(locked, "/metrics", Authorization=f"Bearer {TOKEN}").status == 200
    assert ask(locked, "/health").status == 200


def test_many_clients_at_a_time_get_what_one_gets(server: int) -> None:
    alone = ask(server, body=ASTRONAUT).json
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(server, body=ASTRONAUT), range(12)))
    for answer in answers:
        assert answer.status == 200
        np.testing.assert_allclose(
            *(tree["images"][0]["faces"][0]["points"] for tree in (answer.json, alone)), atol=1e-2
        )


def test_the_counts(server: int) -> None:
    def counts() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(ask(server, "/metrics").body.decode())
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}

    before = counts()
    ask(server, body=ASTRONAUT)
    ask(server, body=b"hello")
    ask(server, "/wherever/it/may/be")
    after = counts()

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert more("canthus_requests_total", "/v1/faces", "200") == 1
    assert more("canthus_requests_total", "/v1/faces", "415") == 1
    assert more("canthus_requests_total", "other", "404") == 1
    assert more("canthus_request_seconds_count", "/v1/faces") == 2
    assert (more("canthus_pictures_total"), more("canthus_faces_total")) == (2, 1)
    assert after["canthus_waiting_pictures",] == after["canthus_streams",] == 0


def test_the_description_names_every_address_and_no_other_server(server: int) -> None:
    document = ask(server, "/openapi.json").json
    assert set(document["paths"]) == {"/v1/faces", "/health", "/metrics"}
    assert {"401", "408", "413", "415", "422", "429", "503"} <= set(document["paths"]["/v1/faces"]["post"]["responses"])
    page = ask(server, "/docs").body.decode()
    assert all(word in page for word in (*document["paths"], *document["components"]["schemas"], "/v1/track"))
    assert not re.search(r"<script|src=|@import|url\(|href=\"(?!#|openapi\.json)", page)


def test_the_answer_has_the_form_that_the_description_gives(server: int) -> None:
    answer = ask(server, body=ASTRONAUT).json
    face = FacesForm.model_validate(answer, strict=True, extra="forbid").images[0].faces[0]
    assert len(face.points) == len(face.scores or []) == 68


def test_the_root_names_the_addresses_or_shows_a_page(server: int, tmp_path: Path) -> None:
    welcome = ask(server, "/")
    assert welcome.headers["content-type"].startswith("text/plain")
    assert b"/v1/faces" in welcome.body and b"/openapi.json" in welcome.body
    (tmp_path / "index.html").write_text("<p>a page")
    (tmp_path / "app.js").write_text("1")
    with running(page=tmp_path) as port:
        shown = ask(port, "/")
        assert shown.body == b"<p>a page"
        assert shown.headers["cross-origin-embedder-policy"] == "require-corp"
        assert ask(port, "/app.js").headers["content-type"].startswith("text/javascript")
        assert ask(port, "/../secret").status == 404
        assert ask(port, "/health").status == 200


def test_nothing_is_written(server: int) -> None:
    """Audit hooks stay for the whole process, hence the flag."""
    watching, written = threading.Event(), []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching.is_set() and event == "open":
            mode, flags = arguments[1], arguments[2]
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & 3):
                written.append(arguments[0])

    sys.addaudithook(hook)
    padded = ASTRONAUT + bytes(1_700_000)  # more than what a form is usually kept in memory for
    form, kind = form_of(padded)
    watching.set()
    answers = [ask(server, body=form, Content_Type=kind), ask(server, body=padded)]
    watching.clear()
    assert [answer.status for answer in answers] == [200, 200]
    assert written == []


def test_where_the_server_fails_it_tells_no_reason(
    server: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("canthus.serve.form.PARTS", None)
    form, kind = form_of(fields=1)
    answer = ask(server, body=form, Content_Type=kind)
    assert (answer.status, answer.json["error"]) == (500, "failed")
    assert "NoneType" not in answer.body.decode()
    while not caplog.records:  # it is logged after the answer
        time.sleep(0.01)
    assert "NoneType" in caplog.text


def test_several_requests_over_one_connection(keep_alive) -> None:
    for data, status in ((ASTRONAUT, 200), (b"hello", 415), (ASTRONAUT[:9000], 422), (ASTRONAUT, 200)):
        keep_alive.request("POST", "/v1/faces", data)
        answer = keep_alive.getresponse()
        assert answer.status == status
        json.loads(answer.read())
