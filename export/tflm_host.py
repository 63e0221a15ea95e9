"""The TFLM interpreter of this host, held in a process of its own: what it allocates for a model."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import selectors
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, final

ANSWER_SECONDS = 60.0
# Twice the largest PSRAM of a module. Pages that nothing touches cost nothing.
ARENA_BYTES = 64 << 20
_LINE = re.compile(r"Arena allocation (head|tail) (\d+) bytes")


@final
@dataclass(frozen=True)
class HostArena:
    """Bytes of the arena on this host: `head` holds tensors and scratch, `tail` what lives as long as the model."""

    head_bytes: int
    tail_bytes: int

    @property
    def total_bytes(self) -> int:
        """Head and tail."""
        return self.head_bytes + self.tail_bytes


@final
class StoppedError(ValueError):
    """The interpreter ended its process on a model, by itself and at once: not killed, nor overdue."""


@final
class TflmHost:
    """A child process that loads models and reports their arena; it is started at the first question.

    The interpreter prints its allocations from C++ and aborts the process on some models, so it never runs in ours.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def start(self) -> None:
        """Start the child, so that its imports run beside the caller's work."""
        with self._lock:
            self._started()

    def arena(self, tflite: bytes) -> HostArena:
        """Load a model; one that TFLM refuses, or stops on, is a `ValueError` with its last words."""
        with self._lock:
            child = self._started()
            answer = _ask(child, tflite)
            if answer is None:
                code = self._dropped()
                message = f"the TFLM interpreter of this host stops on this model (exit {code})"
                raise ValueError(message) if code == -signal.SIGKILL else StoppedError(message)
        found = {part: int(size) for part, size in _LINE.findall(answer["text"])}
        if answer["error"] or "head" not in found:
            raise ValueError(f"the TFLM interpreter of this host refuses this model: {_last_words(answer)}")
        return HostArena(found["head"], found["tail"])

    def close(self) -> None:
        """Stop the child, if there is one."""
        with self._lock:
            self._dropped()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and (self._owner != os.getpid() or self._child.poll() is not None):
            self._dropped()
        if self._child is None:
            command = [sys.executable, "-I", str(Path(__file__).resolve())]
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._owner = os.getpid()
            atexit.register(self.close)
        return self._child

    def _dropped(self) -> int | None:
        """Let go of the child: end it, unless it belongs to the process that we were forked from."""
        child, self._child = self._child, None
        if child is None or self._owner != os.getpid():
            return None
        atexit.unregister(self.close)
        child.kill()
        code = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return code


def _ask(child: subprocess.Popen[bytes], tflite: bytes) -> dict[str, str] | None:
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(struct.pack("<Q", len(tflite)) + tflite)
        child.stdin.flush()
    except BrokenPipeError:
        return None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if not selector.select(timeout=ANSWER_SECONDS):
            return None
    line = child.stdout.readline()
    return json.loads(line) if line else None


def _last_words(answer: dict[str, str]) -> str:
    lines = [line.strip() for line in answer["text"].splitlines() if line.strip()]
    return "; ".join(lines[-2:]) or answer["error"]


def _serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer models on stdin, each after its length, with one line of JSON; C++ prints go to a file in between."""
    runtime = _runtime()
    while header := questions.read(8):
        model = questions.read(struct.unpack("<Q", header)[0])
        with tempfile.TemporaryFile() as spoken:
            os.dup2(spoken.fileno(), 1)
            os.dup2(spoken.fileno(), 2)
            error = _load(runtime, model)
            spoken.seek(0)
            text = spoken.read().decode("utf-8", errors="replace")
        answers.write(json.dumps({"text": text, "error": error}).encode() + b"\n")
        answers.flush()


def _runtime() -> object | None:
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    return runtime  # type: ignore[no-any-return]


def _load(runtime: object | None, model: bytes) -> str:
    if runtime is None:
        return "the package tflite-micro is not installed"
    try:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)  # type: ignore[attr-defined]
        interpreter.print_allocations()
    except Exception as error:  # whatever the wrapper raises is the answer
        return f"{type(error).__name__}: {error}"
    return ""


TFLM = TflmHost()

if __name__ == "__main__":
    _serve(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
