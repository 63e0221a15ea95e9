"""Recipes whose students are aligned with their teacher's layers."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spaces
from spaces.board import load_board
from spaces.candidate import Scalar
from tests.trainables.teachers.classifiers import AST, save_classifier
from trainables.assignment import Assignment, candidate_of
from trainables.cache import cached_array
from trainables.recipe import Material, Request, recipe
from trainables.teachers import layer_states, of_views
from trainables.trial import run_trial

ALIGNED = ("speech_emotion", "wakeword")


def material_of(name: str, folder: Path) -> Material:
    return recipe(name).prepare(Request(data=folder, word=None if name == "speech_emotion" else "up"))


def preset(name: str, **changes: Scalar) -> dict[str, Scalar]:
    return {**spaces.recipe_space(name).START_POINTS[0], **changes}


@pytest.mark.parametrize("name", ALIGNED)
def test_only_an_aligned_student_gets_the_layers(name: str, speech_folder: Path) -> None:
    material, rules = material_of(name, speech_folder), recipe(name)
    plain, aligned = (candidate_of(name, preset(name, alignment_weight=weight)) for weight in (0.0, 0.1))
    assert rules.training_set(material, plain).teacher_layers == ()
    (embedding,) = rules.training_set(material, aligned).teacher_layers
    assert len(embedding) == len(material.corpus.clips)
    assert embedding.shape[1] > 1


def test_steps_are_averaged_where_the_student_hears_less_than_its_teacher(speech_folder: Path) -> None:
    material, rules = material_of("speech_emotion", speech_folder), recipe("speech_emotion")
    whole, half = (
        rules.training_set(
            material, candidate_of("speech_emotion", preset("speech_emotion", alignment_weight=0.1, clip_ms=length))
        ).teacher_layers[0]
        for length in (2000, 1000)
    )
    assert half.shape == (len(whole), 1, whole.shape[2])
    assert np.allclose(half[:, 0], whole.astype(np.float64).mean(axis=1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ALIGNED)
def test_workers_are_handed_the_layers(name: str, speech_folder: Path) -> None:
    material = material_of(name, speech_folder)
    assert material.teacher_layers is not None
    handed = recipe(name).arrays(material)[material.teacher_layers.key]
    assert np.array_equal(handed, cached_array(material.teacher_layers.key, lambda: np.zeros(1)))


@pytest.mark.parametrize("name", ALIGNED)
def test_a_study_that_aligns_nobody_asks_for_no_layers(
    name: str, speech_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_states, "kept_layer_states", None)
    monkeypatch.setattr(of_views, "view_layer_states", None)
    request = Request(data=speech_folder, word=None if name == "speech_emotion" else "up", aligned=False)
    material = recipe(name).prepare(request)
    assert material.teacher_layers is None
    assert material.views is None or material.views.layers == ()
    aligned = candidate_of(name, preset(name, alignment_weight=0.1))
    assert recipe(name).training_set(material, aligned).teacher_layers == ()


@pytest.mark.parametrize("name", ALIGNED)
def test_a_classifier_that_shows_no_layers_teaches_without_them(name: str, speech_folder: Path, tmp_path: Path) -> None:
    spec = f"classifier:{save_classifier(tmp_path, kind=AST)}"
    request = Request(data=speech_folder, word=None if name == "speech_emotion" else "up", teacher=spec)
    assert recipe(name).fixed(request) == {"alignment_weight": 0.0}
    material = recipe(name).prepare(request)
    assert material.teacher_layers is None
    assert material.views is None or material.views.layers == ()
    named = replace(request, teacher_layers=(1,))
    assert recipe(name).fixed(named) == {}
    with pytest.raises(ValueError, match="holds a audio-spectrogram-transformer; layers are had of wav2vec2"):
        recipe(name).prepare(named)


@pytest.mark.parametrize("teacher", ["speech_embedding", "mean(speech_embedding, classifier:{})", "classifier:{}"])
def test_teachers_that_show_layers_leave_alignment_free(teacher: str, tmp_path: Path) -> None:
    spec = teacher.format(save_classifier(tmp_path))
    for name in ALIGNED:
        assert recipe(name).fixed(Request(teacher=spec)) == {}


def test_layers_that_there_are_not_are_refused(speech_folder: Path) -> None:
    with pytest.raises(ValueError, match="has layer 1, the embedding, each to be named once; 2 cannot be had"):
        recipe("wakeword").prepare(Request(data=speech_folder, word="up", teacher_layers=(2,)))


def test_the_alignment_loss_is_logged(speech_folder: Path, tmp_path: Path) -> None:
    board = load_board(spaces.recipe_space("wakeword").BOARD)
    assignment = Assignment("wakeword", material_of("wakeword", speech_folder), board, 6, 0, tmp_path)
    run_trial(assignment, 0, preset("wakeword", alignment_weight=0.2, hop_ms=20, tiny_conv_width=8))
    with (tmp_path / "0" / "history.csv").open() as file:
        losses = [float(row["alignment_loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
