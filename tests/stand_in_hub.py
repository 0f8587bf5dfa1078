"""A stand-in for the Hugging Face hub on a free port: data sets and models at commits."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_API = re.compile(
    r"/api/(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)"
    r"(?:/(?P<verb>revision|tree|paths-info)/(?P<commit>[^/]+)(?:/(?P<path>.*))?)?"
)
_RESOLVE = re.compile(
    r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<commit>[^/]+)/(?P<path>.+)"
)


class StandInHub:
    """What is served, what was asked for, and what is made to go wrong.

    Attributes:
        files: bytes by kind (``datasets`` or ``models``), repository, commit and path.
        asked: ``METHOD path`` of every request so far.
        cut: paths whose next downloads end early, each after so many bytes.
        stall: a path whose download stops in the middle until ``go_on`` is set; ``stalled`` says when.
    """

    def __init__(self):
        self.files = {}
        self.asked = []
        self.cut = {}
        self.stall = ""
        self.stalled, self.go_on = threading.Event(), threading.Event()
        self.endpoint = "http://127.0.0.1:9"  # where nobody answers

    def add(self, kind, repo, commit, files):
        self.files.setdefault((kind, repo), {}).setdefault(commit, {}).update(files)

    def downloads(self, ending):
        return [line for line in self.asked if line.startswith("GET") and line.endswith(ending)]


@contextmanager
def serving(hub):
    """Serve ``hub`` at ``hub.endpoint`` for the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandInHub

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        self.hub.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        if found := _API.fullmatch(path):
            self._api(body, **found.groupdict())
        elif found := _RESOLVE.fullmatch(path):
            self._file(**found.groupdict())
        else:
            self._send(404, b"{}")

    def _tree(self, kind, repo, commit):
        commits = self.hub.files.get((kind, repo))
        if commits is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None
        if commit not in commits:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return None
        return commits[commit]

    def _api(self, body, kind, repo, verb, commit, path):
        tree = self._tree(kind, repo, commit or "main")
        if tree is None:
            return
        if verb == "tree":
            inside = {name: data for name, data in tree.items() if name.startswith(f"{path or ''}")}
            if path and not inside:
                self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
                return
            answer = [_entry(name, data) for name, data in inside.items()] + _folders(inside)
        elif verb == "paths-info":
            wanted = _paths(body)
            answer = [_entry(name, data) for name, data in tree.items() if name in wanted]
            answer += [folder for folder in _folders(tree) if folder["path"] in wanted]
        else:
            answer = {"id": repo, "sha": commit, "private": False, "gated": False, "disabled": False}
            answer |= {"tags": [], "siblings": [{"rfilename": name} for name in tree]}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, kind, repo, commit, path):
        tree = self._tree("datasets" if kind else "models", repo, commit)
        if tree is None:
            return
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if path not in tree:
            self._send(404, b"{}", {**headers, "X-Error-Code": "EntryNotFound"})
            return
        data, first = tree[path], 0
        headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data = data[first : last + 1]
        cuts = self.hub.cut.get(path) if self.command == "GET" else None
        stall = path == self.hub.stall and self.command == "GET"
        self._send(
            206 if "Content-Range" in headers else 200,
            data,
            headers,
            cut=cuts.pop(0) if cuts else None,
            stall=stall,
        )

    def _send(self, status, data, headers=None, cut=None, stall=False):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if stall else data[:cut])
        if stall:
            self.hub.stalled.set()
            self.hub.go_on.wait(60)
        if cut is not None or stall:
            self.close_connection = True


def _paths(body):
    text = body.decode()
    return json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]


def _entry(name, data):
    digest = hashlib.sha256(data).hexdigest()
    return {"type": "file", "path": name, "size": len(data), "oid": digest[:40]}


def _folders(tree):
    parts = [name.split("/")[:-1] for name in tree]
    names = sorted({"/".join(part[:n]) for part in parts for n in range(1, len(part) + 1)})
    return [
        {"type": "directory", "path": name, "size": 0, "oid": hashlib.sha1(name.encode()).hexdigest()}
        for name in names
    ]
