"""What the last epoch's losses say of a candidate's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spaces.candidate import Distillation, MaskDistillation

TEACHER_IDLE, TEACHER_DOMINATES = 0.1, 10.0


def loss_warnings(distillation: Distillation, last: Mapping[str, float]) -> list[str]:
    """Sentences about terms that do nothing or drown the others; `last` is a row of the history."""
    found = _soft_warnings(distillation.alpha, last)
    if distillation.alpha > 0 and last["hard_loss"] == 0.0:
        found.append("the hard loss is identically zero: the labels teach nothing")
    weights = {"alignment": distillation.alignment_weight, "attention": distillation.attention_weight}
    for term, weight in weights.items():
        # Quantization-aware epochs align nothing.
        if weight and f"{term}_loss" in last:
            found += _term_warnings(term, weight, last)
    return found


def mask_warnings(masks: MaskDistillation, history: Sequence[Mapping[str, float]]) -> list[str]:
    """As `loss_warnings`, of students that give masks: over all epochs, since the teacher may have spoken in some."""
    if masks.mode != "none" and all(row["soft_loss"] == 0.0 for row in history):
        return ["the distillation loss is identically zero: the teacher teaches nothing"]
    return []


def _soft_warnings(alpha: float, last: Mapping[str, float]) -> list[str]:
    ratio = last["soft_to_hard"]
    if alpha == 1.0:
        return ["alpha=1: the teacher and the temperature have no effect"]
    if last["soft_loss"] == 0.0:
        return ["the distillation loss is identically zero: the teacher teaches nothing"]
    if ratio > TEACHER_DOMINATES:
        return [f"distillation loss is {ratio:.1f} times the hard loss, over {TEACHER_DOMINATES:g}: raise alpha"]
    if ratio < TEACHER_IDLE:
        return [f"distillation loss is {ratio:.2f} times the hard loss, under {TEACHER_IDLE:g}: lower alpha"]
    return []


_TAUGHT_BY = {"alignment": "the teacher's layers teach", "attention": "where the teacher looks teaches"}


def _term_warnings(term: str, weight: float, last: Mapping[str, float]) -> list[str]:
    loss = last[f"{term}_loss"]
    if loss == 0.0:
        return [f"the {term} loss is identically zero: {_TAUGHT_BY[term]} nothing"]
    share = weight * loss / max(last["loss"] - weight * loss, 1e-12)
    if share > TEACHER_DOMINATES:
        return [f"{term} is {share:.1f} times the other losses, over {TEACHER_DOMINATES:g}: lower {term}_weight"]
    return []
