"""What the losses of the last epoch say."""

from __future__ import annotations

import pytest

from spaces.candidate import Distillation, MaskDistillation, MaskMode
from trainables.loss_warnings import loss_warnings, mask_warnings

TERMS = {"alignment_loss": 1.0, "attention_loss": 1.0}
ROW = {"loss": 1.0, "hard_loss": 1.0, "soft_loss": 1.0, "soft_to_hard": 1.0, **TERMS}


@pytest.mark.parametrize(
    ("distillation", "changes", "expected"),
    [
        (Distillation(2.0, 0.5), {}, None),
        (Distillation(2.0, 1.0), {}, "alpha=1: the teacher and the temperature have no effect"),
        (Distillation(2.0, 0.5), {"soft_loss": 0.0}, "the distillation loss is identically zero"),
        (Distillation(2.0, 0.5), {"soft_to_hard": 20.0}, "distillation loss is 20.0 times the hard loss, over 10"),
        (Distillation(2.0, 0.5), {"soft_to_hard": 0.01}, "distillation loss is 0.01 times the hard loss, under 0.1"),
        (Distillation(2.0, 0.5), {"hard_loss": 0.0}, "the hard loss is identically zero"),
        (Distillation(2.0, 0.5, alignment_weight=0.1), {}, None),
        (
            Distillation(2.0, 0.5, alignment_weight=0.1),
            {"alignment_loss": 0.0},
            "the alignment loss is identically",
        ),
        (
            Distillation(2.0, 0.5, attention_weight=0.1),
            {"attention_loss": 0.0},
            "the attention loss is identically zero: where the teacher looks teaches nothing",
        ),
        (Distillation(2.0, 0.5, alignment_weight=0.9), {"alignment_loss": 1.09}, "alignment is 51.6 times the other"),
    ],
)
def test_losses_out_of_balance_are_named(
    distillation: Distillation, changes: dict[str, float], expected: str | None
) -> None:
    found = loss_warnings(distillation, ROW | changes)
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("mode", "losses", "warned"),
    [
        ("two_step", [0.0, 0.0], True),
        ("output", [0.0, 0.0], True),
        # The second of two steps hears no teacher; where the first did, all is well.
        ("two_step", [0.3, 0.0], False),
        ("none", [0.0, 0.0], False),
    ],
)
def test_a_teacher_of_masks_that_never_teaches_is_named(mode: MaskMode, losses: list[float], warned: bool) -> None:
    history = [ROW | {"soft_loss": loss} for loss in losses]
    expected = ["the distillation loss is identically zero: the teacher teaches nothing"]
    assert mask_warnings(MaskDistillation(mode), history) == (expected if warned else [])
