"""The assistant between a teacher and its student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spaces import speech_emotion
from trainables.assignment import candidate_of
from trainables.distil import logits_of, teach
from trainables.recipe import Request, recipe
from trainables.students import build_student
from trainables.teachers import assistant

TINY = {**speech_emotion.START_POINTS[0], "assistant": "wav2small"}


def test_the_assistants_logits_take_the_teachers_place(speech_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_emotion, "EPOCHS", 2)
    rules = recipe("speech_emotion")
    material = rules.prepare(Request(data=speech_folder))
    taught = rules.training_set(material, candidate_of("speech_emotion", TINY))
    alone = rules.training_set(material, candidate_of("speech_emotion", {**TINY, "assistant": "none"}))
    assert np.array_equal(alone.teacher, material.teacher_logits)
    assert np.array_equal(taught.features, alone.features)

    # The same training by hand.
    small = candidate_of("speech_emotion", speech_emotion.START_POINTS[1])
    data = rules.training_set(material, small)
    validation = material.corpus.indices("validation")
    torch.manual_seed(0)
    network = build_student(small.student, small.front_end, len(material.corpus.labels))
    score = lambda student: rules.score(material, validation, logits_of(student, data.features[validation]))  # noqa: E731
    teach(network, data, small, epochs=2, seed=0, validate=score)
    assert taught.teacher == pytest.approx(logits_of(network, data.features), abs=1e-4)

    monkeypatch.setattr(assistant, "teach", None)
    again = rules.training_set(material, candidate_of("speech_emotion", {**TINY, "width": 8}))
    assert np.array_equal(again.teacher, taught.teacher), "one assistant for all trials"


def test_only_the_smaller_student_has_an_assistant() -> None:
    assert candidate_of("speech_emotion", TINY).distillation.assistant == "wav2small"
    assert candidate_of("speech_emotion", speech_emotion.START_POINTS[1]).distillation.assistant is None
