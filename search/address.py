"""Whether a Ray cluster answers at an address, found out in seconds; Ray itself takes minutes to give up."""

from __future__ import annotations

import socket

ANSWER_SECONDS = 5.0


def require_answer(address: str | None) -> None:
    """A HOST:PORT at which nothing answers is a `ValueError`; other forms, such as auto, are left to Ray."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdigit() or "//" in host:
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise ValueError(f"--address: nothing answers at {address}: {error.strerror or error}") from error
