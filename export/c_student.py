"""A student as C: its constants, its model, its golden vectors."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from export.as_c_array import BYTES_PER_LINE
from export.c_front_end import front_end_member, front_end_tables
from export.c_text import c_array, c_number, c_string, c_strings
from export.flatbuffer import ALIGNMENT_BYTES
from export.golden_sound import SEED, SOUND_STEPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.device_student import DeviceStudent
    from export.golden_sound import GoldenVectors


def student_header(student: DeviceStudent, operators: int) -> str:
    """What an application includes; `operators` are those of one run."""
    name, upper = student.name, student.name.upper()
    return f"""\
/* The student {name!r}; its model has sha256 {hashlib.sha256(student.stored.model).hexdigest()}. */
#ifndef {upper}_H
#define {upper}_H

#include "potstill_golden.h"
#include "potstill_student.h"

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_OPERATORS {operators}

extern const potstill_student {name};
extern const potstill_golden {name}_golden;
extern const unsigned char {name}_model[];
extern const unsigned int {name}_model_bytes;

#ifdef __cplusplus
}}
#endif
#endif
"""


def student_source(student: DeviceStudent) -> str:
    """The constants: tables of its front end, states, names, and the `potstill_student`."""
    front_end, name = student.stored.front_end, student.name
    parts = [
        f'#include "{name}.h"',
        '#include "potstill_decision_student.h"\n' if student.decides else "",
        front_end_tables(front_end, student.heard, name),
        *_state_table(student),
        *_label_tables(student),
        f"const potstill_student {name} = {{",
        _members(student) + "};\n",
    ]
    return "\n".join(part for part in parts if part)


def _members(student: DeviceStudent) -> str:
    front_end, name = student.stored.front_end, student.name
    members = {
        "name": c_string(name.removeprefix("potstill_")),
        "front_end": front_end_member(front_end, student.heard, name),
        "clip_frames": str(front_end.frames),
        "frames_per_run": str(student.frames_per_run),
        "frames_per_decision": str(front_end.new_frames_per_decision),
        "outputs": str(student.outputs),
        "output_scale": c_number(np.float32(student.told.scale)),
        "output_zero_point": str(student.told.zero_point),
        "makes_sound": "true" if student.makes_sound else "false",
    }
    if student.states:
        members |= {"states_count": str(len(student.states)), "states": f"{name}_states"}
    if student.labels:
        members |= {"labels": f"{name}_labels", "labels_count": str(len(student.labels))}
        members |= {"labels_are_values": "true" if student.labels_are_values else "false"}
    if student.label_of_output is not None:
        members["label_of_output"] = f"{name}_label_of_output"
    if student.decides:
        members |= {"event": c_string(student.decides.event), "score": "potstill_score"}
        members["decision"] = "&potstill_default_settings"
    return "".join(f"    .{key} = {value},\n" for key, value in members.items())


def _state_table(student: DeviceStudent) -> list[str]:
    if not student.states:
        return []
    rows = "\n".join(f"    {{{math.prod(state.shape)}, {state.zero_point}}}," for state in student.states)
    return [f"static const potstill_network_state {student.name}_states[] = {{\n{rows}\n}};\n"]


def _label_tables(student: DeviceStudent) -> list[str]:
    tables = []
    if student.labels:
        tables.append(c_strings(f"static const char *const {student.name}_labels[]", student.labels))
    if student.label_of_output is not None:
        classes = np.array(student.label_of_output, np.uint16)
        tables.append(c_array(f"static const uint16_t {student.name}_label_of_output[]", classes))
    return tables


def model_source(student: DeviceStudent) -> str:
    """The model's bytes, aligned for ESP-NN's vector loads."""
    model, name = student.stored.model, student.name
    rows = (model[at : at + BYTES_PER_LINE] for at in range(0, len(model), BYTES_PER_LINE))
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    return f"""\
#include "{name}.h"

const unsigned char {name}_model[] __attribute__((aligned({ALIGNMENT_BYTES}))) = {{
{body}
}};
const unsigned int {name}_model_bytes = {len(model)};
"""


def golden_source(student: DeviceStudent, vectors: GoldenVectors) -> str:
    """Golden vectors; nothing on a device whose configuration leaves the self-test out."""
    arrays: dict[str, tuple[str, NDArray[Any]]] = {
        "codes": ("int8_t", vectors.codes),
        "outputs": ("int8_t", vectors.outputs),
        "scores": ("int16_t", vectors.scores),
        "events": ("uint8_t", vectors.events),
        "sound": ("int16_t", vectors.sound),
    }
    there = {key: (kind, values) for key, (kind, values) in arrays.items() if values.size}
    numbers = {
        "seed": f"{SEED}u",
        "frames": len(vectors.codes),
        "code_steps": vectors.code_steps,
        "codes_apart_permille": vectors.codes_apart_permille,
        "runs": len(vectors.outputs),
        "output_steps": min(vectors.output_steps, 255),
        "decisions": len(vectors.scores),
        "sound_steps": SOUND_STEPS if vectors.sound.size else 0,
    }
    tables = "\n".join(c_array(f"static const {kind} {key}[]", values) for key, (kind, values) in there.items())
    members = [f"    .{key} = {value},\n" for key, value in [*numbers.items(), *((key, key) for key in there)]]
    return f"""\
#include "{student.name}.h"

#ifdef ESP_PLATFORM
#include "sdkconfig.h"
#endif

#if !defined(ESP_PLATFORM) || defined(CONFIG_POTSTILL_SELF_TEST)
{tables}
const potstill_golden {student.name}_golden = {{
{"".join(members)}}};
#endif
"""
