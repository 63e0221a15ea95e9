"""The decision of one student as C99: the code that all share, and this student's constants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from export.decision import DecisionSettings
    from export.decision_score import ScoreRule

SHARED = ("potstill_decision.h", "potstill_decision.c", "potstill_decision_nvs.h", "potstill_decision_nvs.c")
NO_RELEASE = "POTSTILL_NO_RELEASE"
_FIRMWARE = Path(__file__).parent / "firmware"
_PER_LINE = 12


def decision_sources(settings: DecisionSettings, rule: ScoreRule) -> dict[str, str]:
    """C sources by file name: no allocation, no floats; `potstill_default_settings` may be changed at run time.

    The two NVS files need ESP-IDF and are empty elsewhere.
    """
    shared = {name: (_FIRMWARE / name).read_text(encoding="utf-8") for name in SHARED}
    return shared | {
        "potstill_decision_student.h": _header(settings, rule),
        "potstill_decision_student.c": _source(rule),
    }


def _header(settings: DecisionSettings, rule: ScoreRule) -> str:
    release = NO_RELEASE if settings.release_steps is None else str(settings.release_steps)
    return f"""\
/* The decision of one student: its constants. A step of its output is {rule.output_scale:.9g} of log-odds. */
#ifndef POTSTILL_DECISION_STUDENT_H
#define POTSTILL_DECISION_STUDENT_H

#include "potstill_decision.h"

#ifdef __cplusplus
extern "C" {{
#endif

#define POTSTILL_OUTPUTS {len(rule.is_event)}
#define POTSTILL_THRESHOLD_STEPS ({settings.threshold_steps})
#define POTSTILL_RELEASE_STEPS ({release})
#define POTSTILL_HOLD_DECISIONS {settings.hold_decisions}
#define POTSTILL_VOTES_NEEDED {settings.votes_needed}
#define POTSTILL_VOTES_WINDOW {settings.votes_window}
#define POTSTILL_STREAK {settings.streak}

extern const potstill_settings potstill_default_settings;

/* The score of POTSTILL_OUTPUTS int8 outputs of the student. */
int16_t potstill_score(const int8_t *outputs);

#ifdef __cplusplus
}}
#endif
#endif
"""


def _source(rule: ScoreRule) -> str:
    return f"""\
#include "potstill_decision_student.h"

const potstill_settings potstill_default_settings = {{
    .threshold_steps = POTSTILL_THRESHOLD_STEPS,
    .release_steps = POTSTILL_RELEASE_STEPS,
    .hold_decisions = POTSTILL_HOLD_DECISIONS,
    .votes_needed = POTSTILL_VOTES_NEEDED,
    .votes_window = POTSTILL_VOTES_WINDOW,
    .streak = POTSTILL_STREAK,
}};

{_difference(rule) if rule.is_difference else _log_odds(rule)}"""


def _difference(rule: ScoreRule) -> str:
    event = rule.is_event.index(True)
    return f"""\
int16_t potstill_score(const int8_t *outputs)
{{
    return (int16_t)(outputs[{event}] - outputs[{1 - event}]);
}}
"""


def _log_odds(rule: ScoreRule) -> str:
    bits = np.packbits(np.array(rule.is_event), bitorder="little")
    return f"""\
static const uint8_t event_bits[] = {{
{_lines(str(byte) for byte in bits)}
}};

static const uint32_t exponentials[] = {{
{_lines(f"{one}u" for one in rule.exponentials)}
}};

int16_t potstill_score(const int8_t *outputs)
{{
    return potstill_log_odds(outputs, POTSTILL_OUTPUTS, event_bits, exponentials);
}}
"""


def _lines(values: Iterable[str]) -> str:
    told = list(values)
    rows = [told[at : at + _PER_LINE] for at in range(0, len(told), _PER_LINE)]
    return "\n".join(f"    {', '.join(row)}," for row in rows)
