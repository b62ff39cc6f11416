"""`Dataset.review` and `firsthandapi review`: the page over a folder, and what it lets nobody do."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient

from dataset.support import folder_of, wait_until
from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError, Record
from firsthandapi._core.rows.consents import CONSENTS, encode_consents
from firsthandapi._core.rows.decisions import EXCLUDED, EXCLUDED_ROWS
from firsthandapi._core.rows.manifest import parse_manifest
from firsthandapi.datasets import DatasetView, Decision
from firsthandapi.datasets._manifest import Manifest
from firsthandapi_server.media.bounded import Bounded
from firsthandapi_server.review import app

_EVIL = "<script>alert(1)</script>"


def picture(color: str) -> bytes:
    content = BytesIO()
    Image.new("RGB", (320, 240), color).save(content, "JPEG")
    return content.getvalue()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    contents = [picture("red"), picture("blue"), picture("blue"), b"no picture"]
    return folder_of(tmp_path / "signs", contents)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy cores may take longer for a picture than a server waits."""
    assert Bounded.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Bounded.__init__.__kwdefaults__, "seconds", 200)


@contextmanager
def reviewing(
    files: Dataset | DatasetView,
    ended: list[tuple[Decision, ...]] | None = None,
    messages: list[str] | None = None,
    **options: Any,
) -> Generator[httpx.Client]:
    """A review that runs beside the test, with a client whose address is the page's."""
    messages = [] if messages is None else messages

    def run() -> None:
        decisions = app.review(files, open_browser=False, tell=messages.append, **{"by": "ana", **options})
        (ended if ended is not None else []).append(decisions)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: messages)
        with httpx.Client(base_url=messages[0].rpartition(" ")[2], timeout=200) as client:
            try:
                yield client
            finally:
                with contextlib.suppress(httpx.TransportError):  # it may have ended by itself
                    client.post("done")
    finally:
        thread.join(60)
        assert not thread.is_alive()


def rows_of(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """The rows by id, as the page unpacks them."""
    answer = client.get("rows").json()
    unpacked: dict[str, dict[str, Any]] = {file_id: {} for file_id in answer["ids"]}
    for name, column in answer["columns"].items():
        for n, row in enumerate(unpacked.values()):
            row[name] = column["values"][column["places"][n] if column["places"] else 0]
    return unpacked


def facts_of(client: httpx.Client, file_id: str) -> dict[str, str]:
    """What the page says of a file, by name."""
    answer = client.get(f"rows/{file_id}").json()
    sections = [*(facts for _, facts in answer["sections"]), answer["annotations"]]
    return {name: value for facts in sections for name, value, _ in facts}


def test_a_correction(dataset: Dataset) -> None:
    """A person's word is in the rows with the response; what is no field, and an excluded file, are refused."""
    file_id = dataset[0].file_id
    with reviewing(dataset) as client:
        assert ["text_extraction", "Text extraction", ""] in client.get(f"rows/{file_id}").json()[
            "correctable"
        ]
        for field, text in (("text_extraction", " STOP "), ("color_palette", "#ff0000, #00ff00,")):
            assert (
                client.post("corrections", json={"id": file_id, "field": field, "text": text}).status_code
                == 204
            )
        fields = client.get(f"rows/{file_id}").json()
        assert ["Text extraction", "STOP", None] in fields["annotations"]
        assert client.post("corrections", json={"id": "file_x", "field": "a", "text": ""}).status_code == 404
        refused = client.post("corrections", json={"id": file_id, "field": "annotation_model", "text": "me"})
        assert (refused.status_code, "no annotation" in refused.text) == (409, True)
    row = Dataset.open(dataset.path)[0]
    assert (row.annotations or {})["text_extraction"] == "STOP"
    assert (row.annotations or {})["color_palette"] == ["#ff0000", "#00ff00"]
    assert '"by":"ana"' in (dataset.path / ".firsthandapi" / "annotations.jsonl").read_text()


def test_a_review(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """The page names the first files and needs no cookie; what it decides is on the disk with each response."""
    ids = [row.file_id for row in dataset]
    ended: list[tuple[Decision, ...]] = []
    with reviewing(dataset, ended) as client:
        page = client.get("")
        assert all(file_id in page.text for file_id in ids)
        assert "set-cookie" not in page.headers
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert [client.get(path).status_code for path in re.findall(r'"(static/[^"]+)"', page.text)] == [
            200
        ] * 4
        assert client.get("duplicates").json() == [[ids[1], ids[2]]]
        assert client.get(f"thumbnails/{ids[0]}").headers["content-type"] == "image/jpeg"
        assert client.get(f"thumbnails/{ids[3]}").status_code == 404
        part = client.get(f"files/{ids[0]}", headers={"range": "bytes=0-7"})
        assert (part.status_code, part.content) == (206, picture("red")[:8])
        assert "sandbox" in part.headers["content-security-policy"]
        for body in (
            {"action": "exclude", "ids": ids[:2], "reason": "blurred"},
            {"action": "accept", "ids": [ids[2]]},
        ):
            assert client.post("decisions", json=body).status_code == 204
        states = {file_id: (row["state"], row["reason"]) for file_id, row in rows_of(client).items()}
        assert states[ids[0]] == ("excluded", "blurred")
        assert [states[file_id][0] for file_id in ids[1:]] == ["excluded", "accepted", "undecided"]
        assert client.get(f"files/{ids[0]}").content == picture("red")  # where it is now
        assert client.post("decisions", json={"action": "include", "ids": [ids[0]]}).status_code == 204
    opened = Dataset.open(dataset.path)
    assert [row.file_id for row in opened.excluded] == [ids[1]]
    assert ended == [opened.decisions]
    assert {decision.by for decision in opened.decisions} == {"ana"}
    assert (
        app.in_words(opened.decisions) == "Decided about 3 files: 1 accepted, 1 excluded, 1 included again."
    )


def test_several_decisions_in_one_request(dataset: Dataset) -> None:
    """They are written in their order, and one that cannot be is refused alone."""
    ids = [row.file_id for row in dataset]
    asked = [("accept", ids[0]), ("exclude", "file_of_another"), ("exclude", ids[1]), ("include", ids[1])]
    ended: list[tuple[Decision, ...]] = []
    with reviewing(dataset, ended) as client:
        body = {"decisions": [{"action": action, "ids": [file_id]} for action, file_id in asked]}
        refused = client.post("decisions", json=body)
        assert (refused.status_code, "file_of_another" in refused.text) == (409, True)
        # Twice is once.
        assert client.post("decisions", json={"action": "accept", "ids": ids[:1]}).status_code == 204
    assert [(decision.action, decision.file_id) for decision in ended[0]] == [asked[0], *asked[2:]]
    assert Dataset.open(dataset.path).decisions == dataset.decisions == ended[0]


def test_a_decision_does_not_wait_for_files_to_move(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the disk with the response, and the page shows the file wherever it is; files move when nobody has
    decided for a while, or at the end."""
    monkeypatch.setattr(app, "_IDLE_SECONDS", 3600)
    ids = [row.file_id for row in dataset]
    place, hidden = dataset.path / "data", dataset.path / EXCLUDED / "data"
    with reviewing(dataset) as client:
        client.post("decisions", json={"action": "exclude", "ids": ids[:2]})
        assert [row.file_id for row in Dataset.open(dataset.path).excluded] == ids[:2]
        assert not hidden.exists()
        monkeypatch.setattr(app, "_IDLE_SECONDS", 0)
        wait_until(lambda: hidden.exists() and len([*place.iterdir()]) == 2)
        assert client.get(f"files/{ids[0]}").content == picture("red")
        monkeypatch.setattr(app, "_IDLE_SECONDS", 3600)
        client.post("decisions", json={"action": "include", "ids": ids[:1]})
        assert client.get(f"files/{ids[0]}").content == picture("red")
    assert (len([*place.iterdir()]), len([*hidden.iterdir()])) == (3, 1)
    assert [row.file_id for row in dataset.excluded] == ids[1:2]


def test_files_that_cannot_be_moved_are_tried_again_at_the_end(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is kept, and the end says why its file has not moved."""
    monkeypatch.setattr(app, "_IDLE_SECONDS", 0)
    page, tries, messages = app.ReviewPage(dataset), list[int](), list[str]()

    def refuse(_: Dataset) -> None:
        tries.append(1)
        page._done.set()
        raise ConfigurationError("another program has it open")

    monkeypatch.setattr(Dataset, "_carry_out", refuse)
    monkeypatch.setattr(app, "ReviewPage", lambda *_, **__: page)
    page._decide({"action": "exclude", "ids": [dataset.records[0].file_id]})
    with pytest.raises(ConfigurationError, match="has it open"):
        app.review(dataset, open_browser=False, tell=messages.append)
    assert (len(tries), messages[-1]) == (2, "Decided about 1 file: 1 excluded.")


def test_what_is_said_is_shown(tmp_path: Path) -> None:
    """A transcript of a stranger is text, and hides nothing."""
    words = {
        "transcript_segments": [
            {"start": 0, "end": 1, "text": f"good\nmorning\u202e{_EVIL}", "speaker": "A"},
            {"start": 1, "end": 2, "text": "", "speaker": "B"},
        ]
    }
    dataset = folder_of(
        tmp_path / "talk", [b"1", b"2"], content_type=["audio/wav"] * 2, annotations=[words, None]
    )
    with reviewing(dataset) as client:
        transcripts = [client.get(f"rows/{file_id}").json()["transcript"] for file_id in ("file_0", "file_1")]
        assert client.get("rows/file_x").status_code == 404
    assert transcripts == [[{"start": 0, "speaker": "A", "text": f"good morning\\u202e{_EVIL}"}], []]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "exclude", "ids": ["file_of_another"]},
        {"decisions": []},
        {"decisions": [{"action": "accept"}]},
        {"action": "relabel", "ids": [], "label": "x"},
        {"action": "destroy", "ids": ["file_1"]},
        {"action": "exclude", "ids": ["file_1"], "path": "/etc"},
        [],
    ],
)
def test_what_cannot_be_decided(dataset: Dataset, body: object) -> None:
    """It is refused with a reason, and changes nothing."""
    with reviewing(dataset) as client:
        refused = client.post("decisions", json=body)
        assert refused.status_code in (400, 409)
        assert refused.json()["error"]["message"]
    assert Dataset.open(dataset.path).decisions == ()


def test_who_may_call(dataset: Dataset) -> None:
    """Nobody without the address, no page of another host, and no host name but this machine's."""
    with reviewing(dataset) as client:
        root = client.base_url.copy_with(path="/")
        assert httpx.get(root).status_code == 404
        assert client.get("", headers={"host": "photos.example.org"}).status_code == 421
        for method, path in (("GET", "rows"), ("POST", "done")):
            assert client.request(method, path, headers={"origin": "https://example.org"}).status_code == 403


def test_a_folder_of_a_stranger(tmp_path: Path) -> None:
    """Its words are text, its types are known kinds or none, and paths lead nowhere else."""
    dataset = folder_of(
        tmp_path / _EVIL.replace("/", "_"),
        [b"<svg onload=alert(1)>"] * 2,
        content_type=["image/svg+xml", "text/html"],
        original_filename=[_EVIL, None],
    )
    with reviewing(dataset) as client:
        assert "<script>alert" not in client.get("").text
        for row in dataset:
            response = client.get(f"files/{row.file_id}")
            assert "sandbox" in response.headers["content-security-policy"]
            assert response.headers["x-content-type-options"] == "nosniff"
        for path in ("files/..%2F..%2Forders/order.json", "files/../metadata.jsonl", "static/..%2Fapp.py"):
            assert client.get(path).status_code == 404


def test_a_decision_moves_a_picture_that_is_shown(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read where it is then."""
    file_id = next(iter(dataset)).file_id
    small, moved = app.ReviewPage._small, []

    def late(page: app.ReviewPage, row: Record, path: Path) -> bytes | None:
        if not moved:
            moved.append(client.post("decisions", json={"action": "exclude", "ids": [file_id]}).status_code)
        return small(page, row, path)

    monkeypatch.setattr(app.ReviewPage, "_small", late)
    with reviewing(dataset) as client:
        assert client.get(f"thumbnails/{file_id}").status_code == 200
    assert moved == [204]


def test_a_closed_tab_ends_it(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is loaded again does not."""
    monkeypatch.setattr(app, "_GONE_SECONDS", 0.3)
    ended: list[tuple[Decision, ...]] = []
    with reviewing(dataset, ended) as client:
        client.post("left")
        client.get("")
        assert not ended
        client.post("left")
        with contextlib.suppress(httpx.TransportError):  # a slow machine may have ended it by now
            client.get("thumbnails/file_0")  # asked for before it was left
        wait_until(lambda: ended)
    assert ended == [()]


def test_it_goes_on_while_a_tab_is_open(dataset: Dataset) -> None:
    """Only the last one ends it; a tab that is loaded again is a new one."""
    page = app.ReviewPage(dataset)
    client = TestClient(page, base_url=f"http://127.0.0.1{page.path}", client=("127.0.0.1", 1))
    for tab in "ab":
        client.get(f"rows?tab={tab}")
    client.post("left?tab=a")
    assert page._left_at is None
    client.post("left?tab=b")
    assert page._left_at is not None


def test_a_closed_tab_ends_it_once_its_decisions_are_written(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may keep the file, while several requests wait."""
    monkeypatch.setattr(app, "_GONE_SECONDS", -1)
    write_down, seen, ready = app.ReviewPage._decide, threading.Event(), threading.Event()

    def late(page: app.ReviewPage, body: dict[str, Any]) -> None:
        seen.set()
        assert ready.wait(60)
        write_down(page, body)

    monkeypatch.setattr(app.ReviewPage, "_decide", late)
    page = app.ReviewPage(dataset)
    client = TestClient(page, base_url=f"http://127.0.0.1{page.path}", client=("127.0.0.1", 1))
    body = {"action": "accept", "ids": [dataset.records[0].file_id]}
    sender = threading.Thread(target=client.post, args=("decisions",), kwargs={"json": body})
    sender.start()
    assert seen.wait(60)
    client.post("left")
    waits: list[bool] = []

    def waited(_: float) -> bool:
        waits.append(True)
        if len(waits) == 3:
            ready.set()
            sender.join()
        return False

    monkeypatch.setattr(page._done, "wait", waited)
    page.wait()
    assert len(waits) == 3
    assert len(page.decided()) == 1


def test_what_a_killed_review_has_decided_is_carried_out_by_the_next(dataset: Dataset) -> None:
    """Even by one that decides nothing."""
    dataset._note("exclude", dataset.records[0].file_id, dataset._as_written)
    with reviewing(dataset):
        pass
    assert len([*(dataset.path / "data").iterdir()]) == 3


def test_a_port_in_use(dataset: Dataset) -> None:
    """It is named, and how to get another."""
    with reviewing(dataset) as client, pytest.raises(ConfigurationError, match="could not use port"):
        dataset.review(port=client.base_url.port or 0, open_browser=False)
    for port in (-1, 70000, "8080"):
        with pytest.raises(InvalidArgumentError, match="port"):
            dataset.review(port=port)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # what a program may pass


def test_what_happens_beside_it(dataset: Dataset) -> None:
    """A page that is loaded again shows what a run brought and others decided; only its own decisions are reported."""
    ids = [row.file_id for row in dataset]
    ended: list[tuple[Decision, ...]] = []
    with reviewing(dataset, ended) as client:
        client.get("")
        Dataset.open(dataset.path).exclude(ids[0], by="bob")
        assert rows_of(client)[ids[0]]["state"] == "excluded"
        client.post("decisions", json={"action": "accept", "ids": ids[1:]})
    assert [decision.file_id for decision in ended[0]] == ids[1:]


def test_a_view(dataset: Dataset) -> None:
    """Only its files are shown, even those that are excluded meanwhile; the decisions are the dataset's."""
    ids = [row.file_id for row in dataset]
    view = dataset.filter(lambda row: row.file_id != ids[0])
    with reviewing(view) as client:
        assert ids[0] not in client.get("").text
        client.post("decisions", json={"action": "exclude", "ids": [ids[1]]})
        assert {file_id: row["state"] for file_id, row in rows_of(client).items()} == {
            ids[1]: "excluded",
            ids[2]: "undecided",
            ids[3]: "undecided",
        }
        assert client.get(f"files/{ids[0]}").status_code == 404
        assert client.get("duplicates").json() == [[ids[1], ids[2]]]
    assert [row.file_id for row in dataset.excluded] == [ids[1]]
    assert len(view) == 2


def test_what_is_known_of_a_file(tmp_path: Path) -> None:
    """Its rating, where it comes from, what a model saw, and every decision; each word of a stranger is text."""
    columns: dict[str, Any] = {
        "ai_star_rating": 4,
        "ai_reasoning": f"readable\u202e{_EVIL}",
        "rated_by": "model:x",
        "dimensions": {"relevance": 0.5, "quality": None, "completeness": 1.0},
        "flags": ["synthetic", "stock"],
        "worker_region": "KE",
        "device_info": {"device_model": "Pixel 9", "device_os": "Android 16", "app_version": "1"},
        "location_verified": False,
        "consent_id": "cns_1",
        "license": "CC-BY-4.0",
        "c2pa_state": "valid",
        "c2pa_signer": "A Camera",
        "digital_source_type": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
        "width": 4,
        "height": 3,
        "annotations": {
            "objects": [{"label": "sign", "confidence": 0.93}, {"label": "street", "confidence": None}],
            "scene": {"setting": "street", "indoor": False},
            "text_extraction": "STOP " + "x" * 5000,
            "annotation_model": "m",
        },
    }
    dataset = folder_of(tmp_path / "signs", [b"1"], **{name: [value] for name, value in columns.items()})
    consent = {
        "consent_id": "cns_1",
        "version": 2,
        "purposes": ["research"],
        "withdrawn_at": "2026-01-01T00:00:00Z",
    }
    (dataset.path / CONSENTS).write_bytes(encode_consents({"cns_1": consent}))
    dataset.add_column("quality", {"file_0": [1, None]})
    dataset.accept("file_0", by="ben\u202e")
    dataset.exclude("file_0", reason="blurred", by="cleo")
    with reviewing(dataset) as client:
        answer, facts = client.get("rows/file_0").json(), facts_of(client, "file_0")
        assert rows_of(client)["file_0"]["disputed"]
        assert client.get("rows").json()["agreement"] == 0
    text = facts.pop("Text extraction")
    assert (len(text), text[:6]) == (4001, "STOP x")
    assert facts == {
        "Stars": "4 of 5",
        "Rated by": "model:x",
        "Reason": f"readable\\u202e{_EVIL}",
        "Relevance": "0.5",
        "Completeness": "1",
        "Flag": "stock",
        "Worker": "wkr_0",
        "Region": "KE",
        "Device": "Pixel 9, Android 16",
        "Place verified": "no",
        "Consent": "cns_1, version 2, research, withdrawn 2026-01-01T00:00:00Z",
        "License": "CC-BY-4.0",
        "Credentials": "valid, A Camera, digitalCapture",
        "Job": "job_1",
        "File": "file_0.jpg",
        "Type": "image/jpeg",
        "Size": "4 × 3 px, 0.0 kB",
        "quality": "[1, null]",
        "Objects": "sign, 93%; street",
        "Scene": "street, indoor: no",
        "Model": "m",
    }
    assert [(decision["by"], decision["action"], decision["reason"]) for decision in answer["decisions"]] == [
        ("ben\\u202e", "accept", None),
        ("cleo", "exclude", "blurred"),
    ]


def test_blind(tmp_path: Path) -> None:
    """Nothing of a rating or of what others have decided is sent before somebody has decided; then all of it is."""
    dataset = folder_of(
        tmp_path / "one",
        [picture("red"), picture("blue"), picture("green")],
        ai_star_rating=[5, 1, 3],
        ai_reasoning=["secret"] * 3,
        flags=[["secret"]] * 3,
        rated_by=["secret"] * 3,
        dimensions=[{"relevance": 0.123}] * 3,
    )
    dataset = Dataset.merge({"stop": dataset.path}, tmp_path / "signs")
    dataset.exclude("file_0", reason="secret", by="ben")
    dataset.relabel("file_1", "secret", by="ben")
    dataset.accept("file_2", by="ben")
    messages: list[str] = []
    with reviewing(dataset, blind=True, messages=messages) as client:
        sent = "".join(client.get(path).text for path in ("rows", *(f"rows/file_{n}" for n in range(3))))
        leaked = [
            word
            for word in ("ben", "Stars", "stars", "0.123", "Flag", "excluded", "disputed")
            if word in sent
        ]
        assert leaked == []
        assert "secret" not in client.get("rows").text
        assert {row["state"] for row in rows_of(client).values()} == {"undecided"}
        for action, file in [("accept", "file_0"), ("exclude", "file_1"), ("exclude", "file_2")]:
            assert client.post("decisions", json={"action": action, "ids": [file]}).status_code == 204
        assert [row["state"] for row in rows_of(client).values()] == ["accepted", "excluded", "excluded"]
        assert facts_of(client, "file_0")["Stars"] == "5 of 5"
        assert facts_of(client, "file_1")["Label"] == "secret"
        seen = client.get("rows/file_0").json()["decisions"]
        assert [(entry["by"], entry["reason"]) for entry in seen] == [("ben", "secret"), ("ana", None)]
    # What others exclude stays so.
    assert [row.file_id for row in dataset.excluded] == ["file_0", "file_1", "file_2"]
    assert messages[-2:] == [
        "Decided about 3 files: 1 accepted, 2 excluded.",
        "Agreement of all reviewers: -0.58.",
    ]
    assert dataset.agreement() == pytest.approx(-7 / 12)


def test_blind_somebody_keeps_what_they_have_excluded(dataset: Dataset) -> None:
    """Even if another has included it before them."""
    ids = [row.file_id for row in dataset]
    with reviewing(dataset, blind=True) as client:
        client.post("decisions", json={"action": "exclude", "ids": ids[:2]})
        Dataset.open(dataset.path).include(ids[0], by="ben")
        assert [row["state"] for row in rows_of(client).values()][:2] == ["excluded"] * 2
        client.post("decisions", json={"action": "include", "ids": ids[:2]})
        assert [row["state"] for row in rows_of(client).values()][:2] == ["accepted"] * 2
    assert [(decision.file_id, decision.by, decision.action) for decision in dataset.decisions[2:]] == [
        (ids[0], "ben", "include"),
        (ids[1], "ana", "include"),
        (ids[0], "ana", "accept"),
    ]


def test_a_relabel_shows_at_once(tmp_path: Path) -> None:
    """Beside the picture, too, before its file has moved."""
    folder = folder_of(tmp_path / "one", [picture("red")])
    dataset = Dataset.merge({"stop": folder.path}, tmp_path / "signs")
    with reviewing(dataset) as client:
        client.post("decisions", json={"action": "relabel", "ids": ["file_0"], "label": "yield"})
        assert facts_of(client, "file_0")["Label"] == "yield"
        assert client.get("files/file_0").status_code == 200
    assert dataset.labels == ["yield"]


def test_a_decision_reads_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many the folder has; and when files move, only those of excluded ones are parsed."""
    monkeypatch.setattr(app, "_IDLE_SECONDS", 3600)
    folder = folder_of(tmp_path / "one", [picture("red"), picture("blue"), picture("green")])
    dataset = Dataset.merge({"stop": folder.path}, tmp_path / "signs")
    with reviewing(dataset) as client:
        client.get("")
        with monkeypatch.context() as patch:
            patch.setattr(Manifest, "read", lambda _: pytest.fail("a row was read"))
            for body in (
                {"action": "accept", "ids": ["file_0"]},
                {"action": "exclude", "ids": ["file_1"]},
                {"action": "relabel", "ids": ["file_2"], "label": "yield"},
            ):
                assert client.post("decisions", json=body).status_code == 204
                assert client.get(f"rows/{body['ids'][0]}").status_code == 200
        paths = list[str]()

        def parse(content: Any, path: str) -> list[Record]:
            paths.append(Path(path).name)
            return parse_manifest(content, path)

        monkeypatch.setattr("firsthandapi.datasets._manifest.parse_manifest", parse)
    assert {*paths} == {EXCLUDED_ROWS}
    assert (dataset.labels, len(dataset.excluded)) == (["stop", "yield"], 1)


def test_all_files_go_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their rows are the same again, and are read again."""
    monkeypatch.setattr(app, "_IDLE_SECONDS", 0)
    dataset = folder_of(tmp_path / "signs", [picture("red")])
    with reviewing(dataset) as client:
        for action, count in (("exclude", 0), ("include", 1), ("exclude", 0), ("include", 1)):
            assert client.post("decisions", json={"action": action, "ids": ["file_0"]}).status_code == 204
            wait_until(lambda: len([*(dataset.path / "data").glob("*")]) == count)  # noqa: B023 # at once
    assert [row.file_id for row in dataset] == ["file_0"]


def test_an_accept_moves_nothing(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the rows are neither read nor written again."""
    monkeypatch.setattr(app, "_IDLE_SECONDS", 0)
    monkeypatch.setattr(Dataset, "_carry_out", lambda _: pytest.fail("it was carried out"))
    with reviewing(dataset) as client:
        client.post("decisions", json={"action": "accept", "ids": [dataset.records[0].file_id]})
    assert len(dataset.decisions) == 1


def test_blind_is_true_or_false(dataset: Dataset) -> None:
    """As by mistake `blind="ana"`."""
    with pytest.raises(InvalidArgumentError, match="blind must be True or False"):
        dataset.review(blind="ana")  # what a program may pass


def test_a_file_that_became_a_link_is_not_followed(dataset: Dataset, tmp_path: Path) -> None:
    """Nor is a type believed that no header can have."""
    secret = tmp_path / "secret"
    secret.write_bytes(picture("green"))
    with reviewing(dataset) as client:
        (dataset.path / dataset.records[0].file_name).unlink()
        (dataset.path / dataset.records[0].file_name).symlink_to(secret)
        for place in ("files", "thumbnails"):
            assert client.get(f"{place}/{dataset.records[0].file_id}").status_code == 404
    odd = folder_of(tmp_path / "odd", [b"1", b"2"], content_type=["image/jpeg\r\nx: y", "image/\u1234"])
    with reviewing(odd) as client:
        types = [client.get(f"files/{row.file_id}").headers["content-type"] for row in odd]
    assert types == ["application/octet-stream"] * 2
