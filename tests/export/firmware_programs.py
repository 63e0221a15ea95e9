"""The firmware's C sources built by the system's compiler under its sanitizers, and its network served over pipes."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from pymicro_features import MicroFrontend

from export.as_espidf import shared_sources
from export.c_front_end import Step, front_end_member, front_end_tables
from export.streaming import states_of
from export.tflite import host_interpreter
from spaces.front_end import FrontEnd

DRIVERS = Path(__file__).parent / "firmware"
MICRO_STAND_IN = DRIVERS / "micro_stand_in"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
CPP_COMPILER = shutil.which("g++") or shutil.which("clang++")
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-O1")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# A run of the network; settings, reset and a hop of TFLM's front end.
ASKS = (b"r", b"c", b"z", b"m")
NO_COMPILER = "there is no C compiler on this system"
HEADER = '#include "potstill_golden.h"\n#include "potstill_student.h"\nextern const potstill_student potstill_own;\n'


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@cache
def objects(folder: Path) -> tuple[Path, ...]:
    """What all students share and no chip is needed for, compiled once."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in shared_sources().items():
        (folder / name).write_text(text)
    found = []
    for source in sorted(folder.glob("*.c")):
        found.append(source.with_suffix(".o"))
        compile_c(source, found[-1], folder)
    return tuple(found)


def compile_c(source: Path, target: Path, *include: Path, flags: tuple[str, ...] = ()) -> None:
    assert COMPILER
    folders = [f"-I{folder}" for folder in include]
    run([COMPILER, "-std=c99", *STRICT, *SANITIZED, *flags, *folders, "-c", str(source), "-o", str(target)])


def program(folder: Path, shared: Path, sources: Mapping[str, str], driver: Path) -> Path:
    """A driver linked with the shared objects in `shared` and a student's own sources."""
    assert COMPILER
    folder.mkdir(parents=True, exist_ok=True)
    built = list(objects(shared))
    for name, text in sources.items():
        (folder / name).write_text(text)
    for name in sources:
        if name.endswith(".c"):
            built.append(folder / f"{name}.o")
            compile_c(folder / name, built[-1], folder, shared, DRIVERS, MICRO_STAND_IN)
    built.append(folder / f"{driver.stem}.driver.o")
    compile_c(driver, built[-1], folder, shared, DRIVERS)
    target = folder / driver.stem
    run([COMPILER, *SANITIZED, *map(str, built), "-lm", "-o", str(target)])
    return target


def front_end_sources(front_end: FrontEnd, step: Step, **members: str) -> dict[str, str]:
    """A student that is nothing but a front end."""
    rest = "".join(f", .{name} = {value}" for name, value in members.items())
    return {
        "potstill_own.h": HEADER,
        "potstill_own.c": f'#include "potstill_own.h"\n{front_end_tables(front_end, step, "own")}'
        f"const potstill_student potstill_own = {{.front_end = {front_end_member(front_end, step, 'own')}{rest}}};\n",
    }


@dataclass
class Said:
    """What a driver said: decisions as (frames heard, score, event, outputs), sound, and lines."""

    decisions: list[tuple[int, int, int, NDArray[np.int8]]] = field(default_factory=list)
    sound: list[NDArray[np.int16]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    runs: int = 0


class PipedMicro:
    """TFLM's audio front end by its Python wrapper, for the stand-in of its C code: a hop of samples, a frame."""

    def __init__(self, forgets: bool = True) -> None:
        self._frontend, self._forgets = MicroFrontend(), forgets
        self.settings: list[str] = []

    def answer(self, kind: bytes, sent: bytes) -> bytes:
        if kind == b"m":
            integers = np.round(np.array(self._frontend.process_samples(sent).features) * 25.6)
            # None until the first window is full.
            return np.resize(integers, 40).astype(np.uint16).tobytes() if len(integers) else bytes(80)
        if kind == b"c":
            self.settings.append(sent.decode())
        elif self._forgets:
            self._frontend.reset()
        return b""


class PipedNetwork:
    """A model under LiteRT that answers a driver's runs; `spoilt` is added to every output of it.

    `heard` are its first inputs, one after another.
    """

    def __init__(self, model: bytes, spoilt: int = 0, micro: PipedMicro | None = None) -> None:
        self._interpreter = host_interpreter(model)
        self._interpreter.allocate_tensors()
        self._heard, self._told = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._spoilt = spoilt
        self.states = states_of(model)
        self.micro = micro or PipedMicro()
        self.heard: list[NDArray[np.int8]] = []

    def _answered(self, kind: bytes, payload: bytes) -> bytes:
        return self.answer(payload) if kind == b"r" else self.micro.answer(kind, payload)

    def answer(self, sent: bytes) -> bytes:
        at = 0
        for tensor in self._heard:
            size = int(np.prod(tensor["shape"]))
            values = np.frombuffer(sent[at : at + size], np.int8).reshape(tensor["shape"])
            self._interpreter.set_tensor(tensor["index"], values)
            if not at:
                self.heard.append(values.reshape(-1))
            at += size
        assert at == len(sent)
        self._interpreter.invoke()
        outputs, *states = (self._interpreter.get_tensor(tensor["index"]) for tensor in self._told)
        outputs = np.clip(outputs.astype(int) + self._spoilt, -128, 127).astype(np.int8)
        return bytes(outputs.tobytes() + b"".join(state.tobytes() for state in states))

    def serve(self, command: list[str]) -> Said:
        """Run a driver and answer it to its end."""
        said = Said()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
            assert driver.stdin and driver.stdout and driver.stderr
            for kind, payload in _messages(driver.stdout):
                if kind in ASKS:
                    said.runs += kind == b"r"
                    driver.stdin.write(self._answered(kind, payload))
                    driver.stdin.flush()
                else:
                    _take(said, kind, payload)
            errors = driver.stderr.read().decode()
        assert driver.returncode == 0, errors
        return said

    def serve_app(self, command: list[str], **environment: str) -> str:
        """Run a program whose network's pipes are descriptors of their own; what it printed, to its end."""
        (heard, sends), (receives, told) = os.pipe(), os.pipe()
        known = {**os.environ, **environment, "POTSTILL_PIPES": f"{receives} {sends}"}
        with (
            tempfile.TemporaryFile() as printed,
            subprocess.Popen(
                command, stdout=printed, stderr=subprocess.STDOUT, env=known, pass_fds=(receives, sends)
            ) as app,
        ):
            os.close(receives)
            os.close(sends)
            with os.fdopen(heard, "rb") as questions, os.fdopen(told, "wb") as answers:
                for kind, payload in _messages(questions):
                    answers.write(self._answered(kind, payload))
                    answers.flush()
            app.wait()
            printed.seek(0)
            text = printed.read().decode()
        assert app.returncode == 0, text
        return text


def _messages(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    while head := stream.read(5):
        kind, size = struct.unpack("<cI", head)
        yield kind, stream.read(size)


def _take(said: Said, kind: bytes, payload: bytes) -> None:
    if kind == b"d":
        frames, score, event = struct.unpack("<Ihh", payload[:8])
        said.decisions.append((frames, score, event, np.frombuffer(payload[8:], np.int8)))
    elif kind == b"s":
        said.sound.append(np.frombuffer(payload, np.int16))
    else:
        said.lines.append(payload.decode())
