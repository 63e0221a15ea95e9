"""Views in a study: what students hear of them, what they cost where nobody hears them, and what other nodes need."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from spaces import recipe_space
from spaces.board import load_board
from spaces.candidate import Augmentation, Candidate
from spaces.front_end import FrontEnd
from trainables import taught_views
from trainables.assignment import Assignment, candidate_of
from trainables.corpora.audio import load_audio
from trainables.features import log_mel, view_features
from trainables.recipe import Material, Request, recipe
from trainables.teachers.speech_embedding import SpeechEmbedding
from trainables.training_set import TrainingSet
from trainables.trial import run_trial

PRESET = recipe_space("wakeword").START_POINTS[0]
QUICK = {**PRESET, "mels": 20, "hop_ms": 20, "tiny_conv_width": 8}


@pytest.fixture(scope="module")
def material(speech_folder: Path) -> Material:
    return recipe("wakeword").prepare(Request(speech_folder, "up"))


def hearing(share: float) -> Candidate:
    return replace(candidate_of("wakeword", QUICK), augmentation=Augmentation(view_share=share))


def learnt_from(material: Material, share: float) -> TrainingSet:
    return recipe("wakeword").training_set(material, hearing(share))


def test_a_training_set_holds_the_views_with_their_own_teacher_outputs(material: Material) -> None:
    data, train = learnt_from(material, 0.5), material.corpus.indices("train")
    assert len(data.views) == taught_views.VIEWS
    others = np.setdiff1d(np.arange(len(data.target)), train)
    for view in data.views:
        assert view.features.shape == data.features.shape
        assert (view.features[train] != data.features[train]).any(axis=(1, 2)).all()
        assert np.array_equal(view.teacher[others], data.teacher[others])
        assert np.abs(view.teacher[train] - data.teacher[train]).max() > 0.1


def test_only_an_aligned_student_gets_the_layers_of_views(material: Material) -> None:
    plain, aligned = (
        recipe("wakeword").training_set(material, candidate_of("wakeword", {**QUICK, "alignment_weight": weight}))
        for weight in (0.0, 0.1)
    )
    train = material.corpus.indices("train")
    assert [view.teacher_layers for view in plain.views] == [()] * taught_views.VIEWS
    for view in aligned.views:
        (heard,), (clean,) = view.teacher_layers, aligned.teacher_layers
        assert heard.shape == clean.shape
        assert 0 < np.abs(heard[train].astype(np.float32) - clean[train]).mean() < np.abs(clean[train]).mean()


def test_who_hears_no_views_gets_none(material: Material) -> None:
    assert learnt_from(material, 0.0).views == ()


def test_a_study_without_views_pays_nothing(speech_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    embed = SpeechEmbedding.embed

    def counted(encoder: SpeechEmbedding, audio: np.ndarray) -> np.ndarray:
        heard.append(len(audio))
        return embed(encoder, audio)

    monkeypatch.setattr(SpeechEmbedding, "embed", counted)
    monkeypatch.setattr(taught_views, "open_disturbances", None)
    plain = recipe("wakeword").prepare(Request(speech_folder, "down", seed=9, views=False))
    # One more, of silence, tells the shape of the teacher's layers.
    assert sum(heard) == len(plain.corpus.clips) + 1
    assert plain.views is None
    # The clips at both lengths, the streams of two splits and the teacher's layers.
    assert len(recipe("wakeword").arrays(plain)) == 5
    with pytest.raises(ValueError, match=r"view_share=0.5: this study has no views; use 0"):
        learnt_from(plain, 0.5)


def test_other_nodes_are_given_the_views(material: Material) -> None:
    kept = recipe("wakeword").arrays(material)
    assert material.views is not None
    for view, layers in zip(material.views.clips, material.views.layers, strict=True):
        assert np.array_equal(kept[view.key], view.audio())
        assert np.array_equal(kept[layers.key], layers.whole())


def test_a_shorter_clip_is_the_part_of_the_view_that_it_is_of_the_clean_clip(material: Material) -> None:
    assert material.views is not None
    view, front_end = material.views.clips[0], FrontEnd(clip_seconds=1.0)
    clean, longer = (load_audio(material.corpus, samples) for samples in (16_000, 24_000))
    heard = view.heard(slice(None), 16_000)
    for row, clip in enumerate(clean):
        # Where the corpus has this clip within the longer one, to the sample that an odd length may shift it by.
        starts = [at for at in range(8_001) if np.array_equal(longer[row][at : at + 16_000], clip)]
        assert any(
            np.array_equal(view.audio()[row][at + by :][:16_000], heard[row]) for at in starts for by in (-1, 0, 1)
        )
    expected = log_mel(torch.from_numpy(heard / np.float32(32768)), front_end)
    np.testing.assert_allclose(view_features(view, front_end), expected, atol=1e-4)


def test_the_summary_names_what_clips_are_heard_in(material: Material) -> None:
    line = recipe("wakeword").summary(material)[-1]
    assert line == "views: 2 of the training clips, in synthesised noise; synthesised rooms"


@pytest.mark.parametrize(("option", "name"), [("noise", "noise of hall (1 s)"), ("rooms", "1 rooms of hall")])
def test_folders_of_the_request_are_heard(option: str, name: str, speech_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "hall").mkdir()
    click = np.zeros(16_000)
    click[0] = 0.5
    soundfile.write(tmp_path / "hall" / "a.wav", click, 16_000)
    request = replace(Request(speech_folder, "up"), **{option: tmp_path / "hall"})  # type: ignore[arg-type]
    views = recipe("wakeword").prepare(request).views
    assert views is not None
    assert name in views.facts["name"]


def test_background_noise_beside_the_words_is_heard(speech_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(speech_folder, tmp_path / "data")
    (tmp_path / "data" / "_background_noise_").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000)
    soundfile.write(tmp_path / "data" / "_background_noise_" / "tap.wav", noise, 16_000)
    views = recipe("wakeword").prepare(Request(tmp_path / "data", "up")).views
    assert views is not None
    assert views.name == "noise of _background_noise_ (3 s); synthesised rooms"


def test_views_change_what_is_learnt_and_the_same_ones_do_not(material: Material, tmp_path: Path) -> None:
    board = load_board(recipe_space("wakeword").BOARD)
    assignment = Assignment("wakeword", material, board, 1, 0, tmp_path)
    for number, share in enumerate((0.5, 0.5, 0.0)):
        run_trial(assignment, number, {**QUICK, "view_share": share})
    first, again, without = ((tmp_path / f"{n}" / "student.int8.tflite").read_bytes() for n in range(3))
    assert first == again != without
