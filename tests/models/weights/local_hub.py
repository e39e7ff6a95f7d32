"""A server on 127.0.0.1 that speaks the Hub's protocol: model info, file tree, files with ranges, and every refusal."""

import hashlib
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """One repository and how it behaves."""

    folder: Path
    commit: str
    refusal: tuple[int, str] | None = None
    """(status, X-Error-Code) instead of everything."""
    absent: str | None = None
    """A file that is listed but not there."""
    corrupt: str | None = None
    """A file of which one byte is changed while it is sent."""
    claimed_size: int | None = None
    """What the listing says of every weight file's size."""
    breaks: str | None = None
    """A file whose first transfer breaks off half-way."""
    takes_s: float = 0.0
    """Of sending a file of weights."""
    served: list[str] = field(default_factory=list)
    """`HEAD path`, `GET path`, `GET path bytes=N-`."""

    def files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def entry(self, path):
        """A file's name, size and hashes; weights are LFS files, named by the SHA-256 of their content."""
        content = path.read_bytes()
        size = len(content)
        if self.claimed_size is not None and path.suffix == ".safetensors":
            size = self.claimed_size
        entry = {"name": path.relative_to(self.folder).as_posix(), "size": size, "lfs": None}
        entry["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if path.suffix in (".safetensors", ".bin"):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry


@contextmanager
def serve(repositories):
    """Serve {name: Repository}; gives the address for HF_ENDPOINT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            path = unquote(urlsplit(self.path).path)
            found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+).*)?", path)
            if found:
                return self.api(found[1], found[2], found[3])
            found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            return self.file(found[1], found[2], found[3], body=body) if found else self.send(404, b"", {})

        def repository(self, name, revision):
            repository = repositories.get(name)
            if repository is None:
                return self.refuse(401, "RepoNotFound")
            if repository.refusal is not None:
                return self.refuse(*repository.refusal)
            if revision not in (None, "main", repository.commit):
                return self.refuse(404, "RevisionNotFound")
            return repository

        def api(self, name, what, revision):
            repository = self.repository(name, revision)
            if repository is None:
                return None
            entries = [repository.entry(path) for path in repository.files()]
            if what == "tree":
                answer = [
                    {"type": "file", "path": e["name"], "size": e["size"], "oid": e["oid"]}
                    | ({"lfs": e["lfs"]} if e["lfs"] else {})
                    for e in entries
                ]
            else:
                siblings = [{"rfilename": e["name"], "size": e["size"], "blobId": e["oid"]} for e in entries]
                answer = {"id": name, "modelId": name, "sha": repository.commit, "private": False, "gated": False,
                          "tags": [], "downloads": 0, "siblings": siblings}  # fmt: skip
            return self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def file(self, name, revision, inside, *, body):
            repository = self.repository(name, revision)
            if repository is None:
                return None
            path = repository.folder / inside
            repository.served.append(" ".join(filter(None, (self.command, inside, self.headers.get("Range")))))
            if not path.is_file() or inside == repository.absent:
                return self.refuse(404, "EntryNotFound")
            entry = repository.entry(path)
            headers = {
                "X-Repo-Commit": repository.commit,
                "ETag": f'"{(entry["lfs"] or entry)["oid"]}"',
                "Accept-Ranges": "bytes",
            }
            if entry["lfs"]:
                headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(entry["size"])}
            content = path.read_bytes()
            if inside == repository.corrupt:
                content = content[:-1] + bytes([content[-1] ^ 1])
            start = int(re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", "bytes=0-"))[1])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if entry["lfs"] and self.command == "GET":
                time.sleep(repository.takes_s)
            half = self.command == "GET" and inside == repository.breaks
            if half:
                repository.breaks = None
            return self.send(206 if start else 200, content[start:], headers, body=body, half=half)

        def refuse(self, status, code):
            self.send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

        def send(self, status, content, headers, *, body=True, half=False):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body and self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if half else content)
            if half:
                self.close_connection = True

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
