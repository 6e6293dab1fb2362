"""An object store in memory, so that the embedded broker's log outlives the broker.

It answers as much of S3 as that broker asks for: objects put whole, also only where they are as
they were (If-Match) or are not yet (If-None-Match), read whole or in part, listed and deleted.
There is no authentication: it listens on this machine alone.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "log"
LISTED = (
    "<Contents><Key>{key}</Key><LastModified>2000-01-01T00:00:00.000Z</LastModified>"
    "<ETag>{tag}</ETag><Size>{size}</Size></Contents>"
)


class Stored(NamedTuple):
    """An object with its ETag."""

    content: bytes
    tag: str
    modified: str


class ObjectStore:
    """The store, served on a free port, as a context manager. What is in it lasts as long."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The settings of the broker that keep its log here."""
        return f"s3://{BUCKET}/"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of S3 must find in its environment to come here."""
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self._server.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_CONDITIONAL_PUT": "etag",
            "AWS_DEFAULT_REGION": "here",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Describe nothing of clients that are gone: they are killed on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one packet
    store: ObjectStore

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        made = Stored(content, f'"{hashlib.sha256(content).hexdigest()}"', formatdate(usegmt=True))
        wanted = self.headers.get("If-Match")
        with self.store.lock:
            found = self.store.objects.get(self._key)
            exists = found is not None and self.headers.get("If-None-Match") == "*"
            if exists or (wanted and wanted != (found and found.tag)):
                return self._answer(HTTPStatus.PRECONDITION_FAILED)
            self.store.objects[self._key] = made
        return self._answer(HTTPStatus.OK, ETag=made.tag)

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        if "list-type" in asked:
            query = {name: values[0] for name, values in asked.items()}
            return self._answer(HTTPStatus.OK, self._listed(query), Content_Type="application/xml")
        with self.store.lock:
            found = self.store.objects.get(self._key)
        if found is None:
            return self._answer(HTTPStatus.NOT_FOUND)
        headers = {"ETag": found.tag, "Last_Modified": found.modified}
        part = self.headers.get("Range")
        if part is None:
            return self._answer(HTTPStatus.OK, found.content, **headers)
        start, stop = _range(part, len(found.content))
        headers["Content_Range"] = f"bytes {start}-{stop - 1}/{len(found.content)}"
        return self._answer(HTTPStatus.PARTIAL_CONTENT, found.content[start:stop], **headers)

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self) -> None:
        with self.store.lock:
            self.store.objects.pop(self._key, None)
        self._answer(HTTPStatus.NO_CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Describe nothing."""

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}").lstrip("/")

    def _listed(self, asked: dict[str, str]) -> bytes:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        after = asked.get("start-after", "")
        with self.store.lock:
            found = [
                (key, each)
                for key, each in sorted(self.store.objects.items())
                if key.startswith(prefix) and key > after
            ]
        rows, folders = [], dict[str, None]()
        for key, each in found:
            name, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folders[prefix + name + cut] = None
            else:
                row = LISTED.format(key=escape(key), tag=escape(each.tag), size=len(each.content))
                rows.append(row)
        shown = (
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders
        )
        inner = "".join([*rows, *shown])
        whole = f"<ListBucketResult><IsTruncated>false</IsTruncated>{inner}</ListBucketResult>"
        return whole.encode()

    def _answer(self, status: HTTPStatus, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _range(asked: str, size: int) -> tuple[int, int]:
    """Return start and stop of a range of bytes, as HTTP writes it.

    >>> _range("bytes=2-4", 10), _range("bytes=7-", 10), _range("bytes=-3", 10)
    ((2, 5), (7, 10), (7, 10))
    """
    first, _, last = asked.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
