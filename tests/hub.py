"""A stand-in of the Hugging Face Hub on loopback, to which its own client speaks: datasets, commits, and tags."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_" + "S3cret" * 6


@dataclass
class Repo:
    """A repository: the files of each commit, oldest first, and the number of the commit of each tag."""

    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b""}])
    tags: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    def at(self, revision: str) -> int:
        revisions = {"main": len(self.commits) - 1, **self.tags}
        return revisions[revision] if revision in revisions else int(revision, 16)


@dataclass
class Hub:
    """All that it has. `fault` is called with the path of each request, and may answer with a status."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict[str, Repo])
    stored: dict[str, bytes] = field(default_factory=dict[str, bytes])
    fault: Callable[[str], int | None] = lambda _: None
    # In one directory, as on the Hub.
    most_files: int = 10_000


def is_lfs(name: str) -> bool:
    return name.endswith((".jpg", ".parquet"))


def _sha(number: int) -> str:
    return f"{number:040x}"


def _entry(name: str, content: bytes) -> dict[str, Any]:
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": oid}
    if is_lfs(name):
        sha256 = hashlib.sha256(content).hexdigest()
        entry |= {"oid": "0" * 40, "lfs": {"oid": sha256, "size": len(content), "pointerSize": 130}}
    return entry


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # else head and body are two packets, and the second waits

    def answer(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        chunks = self._chunks() if self.headers.get("transfer-encoding") else None
        body = b"".join(chunks) if chunks is not None else self.rfile.read(size)
        path = unquote(self.path.partition("?")[0])
        if path.startswith("/stored/"):
            self.hub.stored[path.removeprefix("/stored/")] = body
            return self.reply({})
        if (status := self.hub.fault(path)) is not None:
            return self.reply({"error": f"fault for {self.headers.get('authorization')}"}, status)
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.reply({"error": "no token"}, 401)
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        _, kind, *parts = path.removeprefix("/api").split("/")
        repo_id = "/".join(parts[:2]).removesuffix(".git")
        repo = self.hub.repos.get(repo_id) if kind == "datasets" else None
        if repo is None:
            return self.reply({"error": "no such repository"}, 404, code="RepoNotFound")
        verb, rest = (parts[2], parts[3:]) if len(parts) > 2 else ("", [])
        return self.of_repo(repo, repo_id, verb, rest, body)

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def create(self, about: Any) -> None:
        name = f"{about['organization']}/{about['name']}"
        if name in self.hub.repos:
            return self.reply({"error": "exists"}, 409)
        private = about.get("visibility") == "private" or about.get("private") is True
        self.hub.repos[name] = Repo(private)
        return self.reply({"url": f"{self.hub.url}/datasets/{name}"})

    def of_repo(self, repo: Repo, name: str, verb: str, rest: list[str], body: bytes) -> None:
        revision = rest[0] if rest else "main"
        files = (
            repo.commits[repo.at(revision)]
            if verb in ("", "revision", "tree", "resolve", "paths-info")
            else {}
        )
        if verb in ("", "revision"):
            sha = _sha(repo.at(revision))
            siblings = [{"rfilename": name} for name in files]
            self.reply({"id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []})
        elif verb == "tree":
            below = "/".join(rest[1:])
            self.tree(files, below, recursive="recursive=true" in self.path.lower())
        elif verb == "paths-info":
            self.reply([_entry(path, files[path]) for path in json.loads(body)["paths"] if path in files])
        elif verb == "refs":
            tags = [
                {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": _sha(number)}
                for tag, number in repo.tags.items()
            ]
            self.reply({"branches": [], "converts": [], "tags": tags})
        elif verb == "resolve":
            self.file(files, "/".join(rest[1:]), _sha(repo.at(revision)))
        elif verb == "preupload":
            names = [entry["path"] for entry in json.loads(body)["files"]]
            modes = {path: "lfs" if is_lfs(path) else "regular" for path in names}
            answers = [
                {"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()
            ]
            self.reply({"files": answers})
        elif verb == "info":
            objects = json.loads(body)["objects"]
            uploads = [
                {**entry, "actions": {"upload": {"href": f"{self.hub.url}/stored/{entry['oid']}"}}}
                if entry["oid"] not in self.hub.stored
                else entry
                for entry in objects
            ]
            self.reply({"transfer": "basic", "objects": uploads})
        elif verb == "commit":
            self.commit(repo, name, [json.loads(line) for line in body.splitlines()])
        elif verb == "tag":
            tag = json.loads(body)["tag"]
            status = 409 if tag in repo.tags else 200
            repo.tags.setdefault(tag, repo.at(revision))
            self.reply({}, status)
        elif verb == "settings":
            repo.private = json.loads(body).get("visibility") != "public" and json.loads(body).get(
                "private", True
            )
            self.reply({})
        elif verb == "lfs-files":
            self.lfs_files(repo, body)
        else:
            self.reply({"error": verb}, 404)

    def tree(self, files: dict[str, bytes], below: str, *, recursive: bool) -> None:
        start = f"{below}/" if below else ""
        entries: dict[str, dict[str, Any]] = {}
        for name, content in files.items():
            if name.startswith(start):
                first, slash, _ = name.removeprefix(start).partition("/")
                if slash:
                    path = start + first
                    entries.setdefault(path, {"type": "directory", "path": path, "oid": "1" * 40, "size": 0})
                if recursive or not slash:
                    entries[name] = _entry(name, content)
        if start and not entries:
            self.reply({"error": "no such folder"}, 404, code="EntryNotFound")
        else:
            self.reply([*entries.values()])

    def file(self, files: dict[str, bytes], name: str, sha: str) -> None:
        if name not in files:
            return self.reply({"error": "no such file"}, 404, code="EntryNotFound", sha=sha)
        entry = _entry(name, files[name])
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        return self.send(files[name], 200, {"X-Repo-Commit": sha, "ETag": f'"{etag}"'})

    def commit(self, repo: Repo, name: str, lines: list[Any]) -> None:
        files = dict(repo.files)
        for line in lines[1:]:
            path = line["value"]["path"]
            if line["key"] == "file":
                files[path] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[path] = self.hub.stored[line["value"]["oid"]]
            else:
                del files[path]
        folders = [path.rpartition("/")[0] for path in files]
        if any(folders.count(folder) > self.hub.most_files for folder in {*folders}):
            return self.reply({"error": "too many files per directory"}, 400)
        repo.commits.append(files)
        sha = _sha(len(repo.commits) - 1)
        url = f"{self.hub.url}/datasets/{name}/commit/{sha}"
        return self.reply({"success": True, "commitOid": sha, "commitUrl": url})

    def lfs_files(self, repo: Repo, body: bytes) -> None:
        """Its git oid of a file is here its SHA-256."""
        if self.command == "GET":
            names = {name: file for files in repo.commits for name, file in files.items() if is_lfs(name)}
            now = "2026-01-01T00:00:00.000Z"
            entries = [
                {
                    "fileOid": oid,
                    "filename": name,
                    "oid": oid,
                    "pushedAt": now,
                    "ref": "main",
                    "size": len(content),
                }
                for name, content in names.items()
                for oid in [hashlib.sha256(content).hexdigest()]
            ]
            return self.reply(entries)
        gone = json.loads(body)["deletions"]["sha"]
        for files in repo.commits:
            for name in [n for n, content in files.items() if hashlib.sha256(content).hexdigest() in gone]:
                del files[name]
        for oid in gone:
            self.hub.stored.pop(oid, None)
        return self.reply({})

    def reply(self, body: Any, status: int = 200, code: str = "", sha: str = "") -> None:
        headers = {"content-type": "application/json"}
        headers |= {"X-Error-Code": code} if code else {}
        headers |= {"X-Repo-Commit": sha} if sha else {}
        self.send(json.dumps(body).encode(), status, headers)

    def send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Generator[Hub, None, None]:
    """A Hub of its own, which is empty."""
    hub = Hub()
    handler = type("HandlerOf", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_port}"
        # Else it ends half a second after it is told to.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        server.shutdown()


def environment(hub: Hub, home: str) -> dict[str, str]:
    """Where its client looks for it, in a process of its own."""
    return {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1"}
