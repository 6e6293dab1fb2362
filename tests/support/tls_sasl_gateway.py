"""A door in front of the embedded broker that asks for TLS and a password, as a real one does.

The embedded broker can do neither, so the door ends the TLS connection, answers the two SASL
requests itself (RFC 4616 PLAIN, RFC 5802 SCRAM) and hands on everything else.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import struct
import threading
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Self

SASL_HANDSHAKE, SASL_AUTHENTICATE, API_VERSIONS = 17, 36, 18
WRONG_PASSWORD = 58
ITERATIONS, SALT, NONCE = 4096, b"salt of the door", "door"


class Refused(Exception):
    """The client did not prove who it is."""


class Gateway:
    """Listens on a free port of 127.0.0.1 and hands on to `target_port`, to be set before use.

    context: the server's side of TLS, or None. mechanism, username, password: of SASL, or None.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        mechanism: str | None = None,
        username: str = "",
        password: str = "",
    ) -> None:
        self.context, self.mechanism = context, mechanism
        self.username, self.password = username, password
        self.target_port = 0
        self.let_in = 0  # connections that proved who they are
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            if self.mechanism:
                await self._authenticate(reader, writer, target_reader, target_writer)
            self.let_in += 1
            await asyncio.gather(_pipe(reader, target_writer), _pipe(target_reader, writer))
        except (OSError, Refused, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or is shown the door
        finally:
            for end in (writer, target_writer):
                end.close()
                with suppress(OSError, asyncio.CancelledError):
                    await end.wait_closed()

    async def _authenticate(self, reader, writer, target_reader, target_writer) -> None:
        proof = self._plain() if self.mechanism == "PLAIN" else self._scram()
        next(proof)
        while True:
            frame = await _read_frame(reader)
            key, version = struct.unpack(">hh", frame[:4])
            if key == API_VERSIONS:
                target_writer.write(struct.pack(">i", len(frame)) + frame)
                answer = await _read_frame(target_reader)
                writer.write(struct.pack(">i", len(answer)) + answer)
            elif key == SASL_HANDSHAKE:
                name = self.mechanism.encode()
                body = struct.pack(">hih", 0, 1, len(name)) + name
                _answer(writer, frame, body)
            elif key == SASL_AUTHENTICATE:
                token, proven = b"", False
                try:
                    token = proof.send(_token(frame, version))
                except StopIteration as end:
                    token, proven = end.value, True
                except Refused:
                    _answer(writer, frame, _authenticated(version, WRONG_PASSWORD, b""), version)
                    await writer.drain()
                    raise
                _answer(writer, frame, _authenticated(version, 0, token), version)
                if proven:
                    return
            else:
                raise Refused

    def _plain(self):
        """Accept the tokens of PLAIN; return the last answer, or raise Refused."""
        _, user, password = (yield).split(b"\0")
        if (user.decode(), password.decode()) != (self.username, self.password):
            raise Refused
        return b""

    def _scram(self):
        """Accept the tokens of SCRAM, yield the first answer; return the last or raise Refused."""
        name = "sha256" if self.mechanism == "SCRAM-SHA-256" else "sha512"

        def keyed(key: bytes, text: bytes) -> bytes:
            return hmac.digest(key, text, name)

        first = (yield).decode().removeprefix("n,,")
        user, nonce = first.split(",")[:2]
        server_first = f"{nonce}{NONCE},s={b64encode(SALT).decode()},i={ITERATIONS}"
        final = (yield server_first.encode()).decode()
        without_proof, proof = final.rsplit(",p=", 1)
        said = f"{first},{server_first},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac(name, self.password.encode(), SALT, ITERATIONS)
        stored = hashlib.new(name, keyed(salted, b"Client Key")).digest()
        signature = keyed(stored, said)
        client_key = bytes(a ^ b for a, b in zip(signature, b64decode(proof), strict=True))
        if user != f"n={self.username}" or hashlib.new(name, client_key).digest() != stored:
            raise Refused
        return b"v=" + b64encode(keyed(keyed(salted, b"Server Key"), said))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise ConnectionError("one end is gone")


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    [length] = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


def _answer(writer: asyncio.StreamWriter, frame: bytes, body: bytes, version: int = 0) -> None:
    header = frame[4:8] + (b"\0" if version == 2 else b"")  # correlation number, no tags
    writer.write(struct.pack(">i", len(header) + len(body)) + header + body)


def _token(frame: bytes, version: int) -> bytes:
    """Read the SASL bytes out of a request, which may end in one empty block of tags."""
    [client_length] = struct.unpack(">h", frame[8:10])
    at = 10 + max(client_length, 0)
    if version < 2:
        return frame[at + 4 :]
    at += 1  # the header's tags: none
    shift = length = 0
    while True:  # seven bits a byte, the low ones first; the top bit says that more follow
        length |= (frame[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if frame[at - 1] < 0x80:
            return frame[at : at + length - 1]


def _authenticated(version: int, error: int, token: bytes) -> bytes:
    if version == 2:
        length = len(token) + 1
        counted = bytes([length] if length < 0x80 else [length & 0x7F | 0x80, length >> 7])
        return struct.pack(">hb", error, 0) + counted + token + bytes(8) + b"\0"
    return struct.pack(">hhi", error, -1, len(token)) + token + (bytes(8) if version else b"")
