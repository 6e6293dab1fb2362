"""Ports to listen on that nobody else does."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Give a port that is free now, though somebody may take it before it is listened on."""
    with socket.create_server((host, 0)) as server:
        port: int = server.getsockname()[1]
        return port
