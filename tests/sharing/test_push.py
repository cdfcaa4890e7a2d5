"""`mentee push` against a stand-in of the hub's HTTP API."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, constants

import mentee
from mentee.errors import MenteeError, RunError
from mentee.sharing.publish import public_files

TOKEN = "hf_of_a_test"

# The hub's package hands its HTTP client a file in a way that the client will drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


class Hub(ThreadingHTTPServer):
    """A hub with one account, `anna`; a few requests of it, with LFS for `.onnx`."""

    daemon_threads = True

    def __init__(self, fails_at: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fails_at = fails_at
        self.asked: list[str] = []
        self.created: dict[str, Any] = {}
        self.stored: dict[str, bytes] = {}
        self.commits: list[dict[str, bytes]] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *given: Any) -> None:
        pass

    def answer(self, status: int, content: Any = None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200, {"id": self.path.removeprefix("/api/models/"), "sha": "0" * 40})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.stored[hashlib.sha256(content).hexdigest()] = content
        self.answer(200)

    def do_POST(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        hub.asked.append(path)
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        hub.tokens.add(self.headers["Authorization"])
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"})
        if hub.fails_at and hub.fails_at in path:
            return self.connection.close()
        if path == "/api/repos/create":
            wanted = json.loads(body)
            if wanted["organization"] != "anna":
                return self.answer(403, {"error": "no write permission"})
            hub.created = wanted
            return self.answer(200, {"url": f"{hub.url}/anna/{wanted['name']}"})
        if "/anna/" not in path:
            return self.answer(403, {"error": "no write permission"})
        if "/preupload/" in path:
            modes = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".onnx") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": modes})
        if path.endswith("/info/lfs/objects/batch"):
            href = {"upload": {"href": f"{hub.url}/upload"}}
            objects = [{**each, "actions": href} for each in json.loads(body)["objects"]]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        files: dict[str, bytes] = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.stored[value["oid"]]
        hub.commits.append(files)
        commit = {"commitUrl": f"{hub.url}/anna/x/commit/1", "commitOid": "1", "hookOutput": ""}
        return self.answer(200, commit)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Hub]:
    with Hub(getattr(request, "param", "")) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # which no stand-in speaks
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        server.shutdown()


NAMES = [
    "README.md",
    "recipe.yaml",
    "report.html",
    "metrics.jsonl",
    "export/model.onnx",
    "export/predict.py",
    "export/safetensors/model.safetensors",
    "export/safetensors/network.py",
]


def test_a_run_is_pushed_in_one_commit_by_the_command(
    hub: Hub, shared_run: Path, tmp_path: Path
) -> None:
    home = shared_run.parents[1]
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HOME": str(home),
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-m", "mentee.cli", "push", "runs/kd", "anna/x", "--private"]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{hub.url}/anna/x/commit/1"
    (files,) = hub.commits
    assert sorted(files) == sorted(NAMES)
    assert hub.created["name"] == "x"
    assert hub.created.get("visibility") == "private" or hub.created.get("private") is True
    for name in NAMES[3:]:
        assert files[name] == (shared_run / name).read_bytes(), name
    for line in done.stdout.splitlines()[1:-1]:
        name, size = line.split()
        assert int(size.replace(",", "")) == len(files[name])
    for name, content in files.items():
        for secret in (b"secret-anna", str(home).encode(), TOKEN.encode(), b"mentee.cli"):
            assert secret not in content, f"{secret!r} in {name}"
    assert b"data:image/png" not in files["report.html"]
    assert b"data:image/png" in (shared_run / "report.html").read_bytes()
    recipe = yaml.safe_load(files["recipe.yaml"])
    assert (recipe["data"]["source"], recipe["teacher"]["weights"]) == ("LOCAL", "LOCAL")
    assert recipe["train"]["epochs"] == 1
    assert ModelCard(files["README.md"].decode()).data.eval_results
    assert not list(tmp_path.rglob("*token*"))


def test_a_card_that_is_there_is_pushed(hub: Hub, shared_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(shared_run, tmp_path / "kd")
    mentee.card(run, license="mit")
    (run / "README.md").write_text((run / "README.md").read_text() + f"\nMade in {run}.\n")
    pushed = mentee.push(run, "anna/y")
    assert pushed.url == f"{hub.url}/anna/x/commit/1"
    card = hub.commits[0]["README.md"].decode()
    assert ModelCard(card).data.license == "mit"
    assert card.endswith("Made in LOCAL.\n")
    assert "private" not in (hub.created.get("visibility") or "")


def test_a_dry_run_sends_nothing(hub: Hub, shared_run: Path) -> None:
    pushed = mentee.push(shared_run, "anna/x", dry_run=True)
    assert pushed.url == ""
    assert sorted(pushed.files) == sorted(NAMES)
    assert pushed.files["export/model.onnx"] == (shared_run / "export/model.onnx").stat().st_size
    assert hub.asked == []
    assert not (shared_run / "README.md").exists()


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        ("hf_other", "anna/x", "the hub refused the token; log in again with: hf auth login"),
        (TOKEN, "berta/x", "may not write to berta/x: it is someone else's"),
        (TOKEN, "x", "'x' is no repository of the hub; expected owner/name"),
        (TOKEN, "anna/-x-", "is no repository of the hub"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    token: str,
    repo: str,
    message: str,
    hub: Hub,
    shared_run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(MenteeError, match=message) as error:
        mentee.push(shared_run, repo)
    assert token not in str(error.value)
    assert hub.commits == []


@pytest.mark.parametrize("hub", ["/repos/create", "/commit/"], indirect=True)
def test_a_lost_connection_is_one_sentence(hub: Hub, shared_run: Path) -> None:
    with pytest.raises(MenteeError, match=r"connection to http.* failed .*push again; nothing was"):
        mentee.push(shared_run, "anna/x")
    assert hub.commits == []


def test_without_a_token_nothing_is_asked(
    hub: Hub, shared_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mentee.sharing.publish.get_token", lambda: None)
    with pytest.raises(MenteeError, match=r"there is no token .*hf auth login"):
        mentee.push(shared_run, "anna/x")
    assert hub.asked == []


def test_an_exported_file_with_a_path_is_refused(shared_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shared_run, tmp_path / "kd"))
    (run / "export" / "notes.bin").write_bytes(b"\x00\xff" + str(run).encode() + b"/x\x00")
    with pytest.raises(RunError, match=r"notes\.bin holds .*a path of this machine"):
        public_files(run)


def test_links_and_temporary_files_stay_here(shared_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shared_run, tmp_path / "kd"))
    (run / "export" / ".hidden.tmp").write_bytes(b"x")
    (run / "export" / "link").symlink_to(run / "checkpoints")
    (run / "export" / "teacher.safetensors").symlink_to(run.parent / "anything")
    assert sorted(public_files(run)) == sorted(NAMES)
