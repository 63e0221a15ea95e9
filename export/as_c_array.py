"""A student's INT8 .tflite as a C array, with the arena that it needs and the decision over its outputs."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from export.carried import CannotCarryError, Carried
from export.decision_c import decision_sources
from export.exported import open_student
from export.flatbuffer import ALIGNMENT_BYTES
from export.golden import Difference
from export.results import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from export.golden import Golden, StoredStudent

SOURCE, HEADER = "student_model.c", "student_model.h"
BYTES_PER_LINE = 16
# Room that a build of another release or compiler may want beside the estimate.
ARENA_SLACK_BYTES = 1024


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """Two files for C11 or C++11: the array, aligned for ESP-NN's vector loads, and its header."""
    header, source = header_text(student), source_text(student.model)
    write_atomically(folder / HEADER, header)
    write_atomically(folder / SOURCE, source)
    if bytes_of(source) != student.model:
        raise CannotCarryError(f"{SOURCE} does not hold the model's bytes")
    same = Difference(0.0, 0.0)
    return [
        Carried(SOURCE, "the INT8 reference: the same bytes", same, f"aligned to {ALIGNMENT_BYTES} bytes"),
        Carried(HEADER, note="declares the array and its arena"),
        *_decision(student, folder),
    ]


def _decision(student: StoredStudent, folder: Path) -> list[Carried]:
    """The decision's C99 sources, where the search chose one."""
    if "threshold" not in student.facts.get("decision", {}):
        return []
    decides = open_student(student.folder)
    settings = decides.stored_settings()
    assert settings is not None
    sources = decision_sources(settings, decides.rule)
    for name, text in sources.items():
        write_atomically(folder / name, text)
    return [Carried(name, note=f"its decision about {decides.event!r}") for name in sources]


def header_text(student: StoredStudent) -> str:
    """Names, length and arena: the estimate for the ESP32-S3 and a little room, rounded up to the alignment."""
    estimate = int(student.footprint["arena_bytes"])
    arena = -(-(estimate + ARENA_SLACK_BYTES) // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return f"""\
#ifndef STUDENT_MODEL_H_
#define STUDENT_MODEL_H_

#ifdef __cplusplus
extern "C" {{
#endif

/* A TensorFlow Lite model, sha256 {hashlib.sha256(student.model).hexdigest()}. */
extern const unsigned char student_model[];
extern const unsigned int student_model_len;

/* Tensor arena in bytes: {estimate} estimated for {student.footprint.get("board", "an ESP32-S3")}, and room. */
#define STUDENT_ARENA_BYTES {arena}

#ifdef __cplusplus
}}
#endif

#endif
"""


def source_text(model: bytes) -> str:
    """The array's definition."""
    lines = [model[at : at + BYTES_PER_LINE] for at in range(0, len(model), BYTES_PER_LINE)]
    body = "\n".join("  " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)
    return f"""\
#include "{HEADER}"

const unsigned char student_model[] __attribute__((aligned({ALIGNMENT_BYTES}))) = {{
{body}
}};
const unsigned int student_model_len = {len(model)};
"""


def bytes_of(source: str) -> bytes:
    """The array in a source text, read back."""
    return bytes(int(code, 16) for code in re.findall(r"0x([0-9a-f]{2}),", source))
