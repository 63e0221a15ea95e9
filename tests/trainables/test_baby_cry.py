"""The baby-cry recipe: the teacher's filter, scores and figures by hand, a student with YAMNet's 521 outputs."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from tflite_micro import runtime

from export.tflite import Int8Model
from spaces import recipe_space
from spaces.board import load_board
from spaces.candidate import TeacherFilter
from trainables.assignment import Assignment
from trainables.corpora.corpus import UNLABELLED, Corpus
from trainables.corpora.cry_task import open_cries
from trainables.metrics import correlation
from trainables.recipe import Material, Request, recipe
from trainables.recipes import baby_cry
from trainables.recipes.baby_cry import class_of_output, cry_probability, filtered, teacher_probability
from trainables.teachers.cross_fitted import Teacher
from trainables.teachers.yamnet import CLASSES, PATCH_SAMPLES
from trainables.trial import run_trial

space = recipe_space("baby_cry")
RATE_HZ = 16_000
FOLDS = 3
WINDOWS = 3


def recorded(cries: bool, take: int) -> np.ndarray:
    """Two seconds: silence, then a gliding voice or a low hum."""
    rng = np.random.default_rng([int(cries), take])
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    pitch_hz = 400 + 150 * np.sin(4 * np.pi * seconds) if cries else np.full(len(seconds), 90 + 10.0 * take)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    tone = sum(np.sin(n * phase) / n for n in range(1, 8))
    return np.asarray((0.1 * tone + 0.01 * rng.standard_normal(len(seconds))) * (seconds > 0.98))


@pytest.fixture(scope="module")
def cry_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve cries and twelve hums in three folds, three windows each, the first of them silent."""
    folder = tmp_path_factory.mktemp("cries")
    rows = ["path,label,split"]
    for take in range(12):
        for label in ("baby_cry", "hum"):
            name = f"{label}{take:02d}.wav"
            soundfile.write(folder / name, recorded(label == "baby_cry", take), RATE_HZ, subtype="PCM_16")
            rows.append(f"{name},{label},fold{take % FOLDS + 1}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


def yamnet_logits(targets: np.ndarray) -> np.ndarray:
    """As YAMNet might answer: one class for cries, another for all else, the rest far below."""
    logits = np.random.default_rng(0).normal(-6, 0.5, (len(targets), CLASSES)).astype(np.float32)
    logits[targets == 1, 20] = 3.0
    logits[targets == 0, 475] = 3.0
    return logits


@pytest.fixture(scope="module")
def material(cry_folder: Path) -> Material:
    corpus = open_cries(cry_folder)
    facts = {"name": "yamnet", "content_hash": "0", "score": 1.0}
    return Material(corpus, yamnet_logits(corpus.targets()), {"content_hash": corpus.content_hash}, facts)


def test_a_students_score_is_the_softmax_of_its_cries() -> None:
    outputs = np.random.default_rng(0).normal(0, 4, (9, CLASSES)).astype(np.float32)
    softmax = torch.from_numpy(outputs).softmax(dim=1).numpy()
    np.testing.assert_allclose(cry_probability(outputs), softmax[:, 19] + softmax[:, 20], rtol=1e-4, atol=1e-6)
    two = outputs[:, :2]
    np.testing.assert_allclose(cry_probability(two), torch.from_numpy(two).softmax(dim=1)[:, 1], rtol=1e-4, atol=1e-6)


def test_the_teachers_score_is_the_sum_of_two_sigmoids() -> None:
    outputs = np.random.default_rng(1).normal(0, 4, (9, CLASSES)).astype(np.float32)
    sigmoids = torch.from_numpy(outputs).sigmoid().numpy()
    np.testing.assert_allclose(teacher_probability(outputs), sigmoids[:, 19] + sigmoids[:, 20], rtol=1e-4, atol=1e-6)


def test_the_filter_by_hand(material: Material) -> None:
    corpus = material.corpus
    train = corpus.indices("train")
    cry = [row for row in train if corpus.clips[row].label == "baby_cry"][:4]
    hum = [row for row in train if corpus.clips[row].label != "baby_cry"][:4]
    probability = np.full(len(corpus.clips), 0.1, np.float32)
    probability[cry] = probability[hum] = [0.01, 0.1, 0.5, 1.9]
    rows, target = filtered(corpus, probability, TeacherFilter(0.3, 0.05))
    assert sorted(rows) == sorted([cry[0], cry[2], cry[3], hum[0]])
    assert [target[row] for row in (cry[0], cry[2], cry[3], hum[0])] == [0, 1, 1, 0]
    test = corpus.indices("test")
    np.testing.assert_array_equal(target[test], corpus.targets()[test])


def test_unlabelled_windows_are_taught_by_the_teacher_alone(
    cry_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in cry_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = []
    for take, cries in ((90, True), (91, False)):
        soundfile.write(tmp_path / f"unknown{take}.wav", recorded(cries, take), RATE_HZ, subtype="PCM_16")
        rows.append(f"unknown{take}.wav,_unlabelled_,")
    (tmp_path / "manifest.csv").write_text("\n".join([(cry_folder / "manifest.csv").read_text(), *rows]))
    corpus = open_cries(tmp_path)
    unknown = corpus.indices(UNLABELLED)
    assert len(unknown) == 2 * WINDOWS
    probability = np.where(corpus.targets() == 1, 0.9, 0.01).astype(np.float32)
    probability[unknown] = [0.01, 0.2, 0.9, 0.01, 0.2, 0.01]
    rows_, target = filtered(corpus, probability, TeacherFilter(0.3, 0.05))
    assert {row: int(target[row]) for row in rows_ if row in unknown} == dict(
        zip(unknown[[0, 2, 3, 5]].tolist(), [0, 1, 0, 0], strict=True)
    )

    def certain(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
        return Teacher(np.log([1 - probability, probability]).T.astype(np.float32), "certain", "0")

    monkeypatch.setattr(baby_cry, "taught_by", certain)
    found = recipe("baby_cry").prepare(Request(tmp_path))
    rules, cry = recipe("baby_cry"), space.space(FixedTrial(dict(space.START_POINTS[1])))
    assert set(unknown) & set(rules.training_set(found, cry).rows)
    assert not set(unknown) & set(rules.training_set(found, replace(cry, teacher_filter=None)).rows)
    assert not set(unknown) & set(rules.judged_rows(found))
    assert "6 unlabelled windows, for the teacher's filter to label" in rules.summary(found)[0]
    assert found.teacher["train"]["auc"] == 1.0, "they say nothing of how good the teacher is"


@given(seed=st.integers(0, 999), above=st.floats(0.15, 0.6), below=st.floats(0.01, 0.15))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_filter_never_contradicts_labels_or_thresholds(
    material: Material, seed: int, above: float, below: float
) -> None:
    corpus = material.corpus
    probability = np.random.default_rng(seed).beta(0.3, 0.3, len(corpus.clips)).astype(np.float32)
    train, cry = corpus.indices("train"), corpus.targets() == 1
    assume((probability[train[cry[train]]] > above).any() and (probability[train[~cry[train]]] < below).any())
    rows, target = filtered(corpus, probability, TeacherFilter(above, below))
    assert set(rows) <= set(corpus.indices("train"))
    positive, negative = rows[target[rows] == 1], rows[target[rows] == 0]
    assert (corpus.targets()[positive] == 1).all()
    assert (probability[positive] > above).all()
    assert (probability[negative] < below).all()


@pytest.mark.parametrize(("level", "message"), [(0.0, "positive_above=0.3"), (0.9, "negative_below=0.05")])
def test_a_filter_that_leaves_nothing_is_named(material: Material, level: float, message: str) -> None:
    probability = np.full(len(material.corpus.clips), level, np.float32)
    with pytest.raises(ValueError, match=f"{message}: the teacher's filter leaves no such training window"):
        filtered(material.corpus, probability, TeacherFilter(0.3, 0.05))


def test_yamnets_head_needs_yamnet(material: Material) -> None:
    rules = recipe("baby_cry")
    two = replace(material, teacher_logits=material.teacher_logits[:, :2], teacher={"name": "speech_embedding"})
    yamnets, cry = (space.space(FixedTrial(dict(point))) for point in space.START_POINTS)
    assert (rules.outputs(material, yamnets), rules.outputs(material, cry), rules.outputs(two, cry)) == (521, 2, 2)
    with pytest.raises(ValueError, match="head: yamnet has 521 outputs, and the teacher speech_embedding teaches 2"):
        rules.outputs(two, yamnets)
    assert rules.fixed(Request()) == {"head": "cry"}
    assert rules.fixed(Request(teacher="yamnet:x.tflite")) == {}


def test_two_outputs_learn_the_merged_classes(material: Material) -> None:
    rules = recipe("baby_cry")
    yamnets, cry = (rules.training_set(material, space.space(FixedTrial(dict(point)))) for point in space.START_POINTS)
    assert yamnets.class_of_output is not None
    np.testing.assert_array_equal(np.flatnonzero(yamnets.class_of_output), [19, 20])
    assert cry.class_of_output is None
    assert (yamnets.teacher.shape[1], cry.teacher.shape[1]) == (521, 2)
    np.testing.assert_allclose(cry_probability(cry.teacher), cry_probability(yamnets.teacher), rtol=1e-4)
    np.testing.assert_array_equal(yamnets.rows, cry.rows)


def outputs_of(probability: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros(len(probability)), np.log(probability / (1 - probability))], axis=1).astype(np.float32)


def test_a_recording_fires_by_its_highest_window(material: Material) -> None:
    rules, corpus = recipe("baby_cry"), material.corpus
    rows = rules.judged_rows(material)
    target = corpus.targets()[rows]
    # Of each recording's three windows, the last alone tells.
    last = np.arange(len(rows)) % WINDOWS == WINDOWS - 1
    probability = np.where(last & (target == 1), 0.8, np.where(last, 0.4, 0.2))
    found = rules.judge(material, outputs_of(probability), outputs_of(1 - probability))
    assert (found.score_int8, found.test["auc"], found.test["f1"]) == (1.0, 1.0, 1.0)
    # Turned around, the highest window of every recording is 0.8: there is nothing to tell them by.
    assert found.score_float == 0.5
    assert found.decision["threshold"] == pytest.approx(0.6, abs=1e-3)
    tables = {row["title"]: row for row in found.rows}
    assert tables["Test clips, INT8"]["counts"] == [[4, 0], [0, 4]]


def test_window_figures_by_hand(material: Material) -> None:
    rules, corpus = recipe("baby_cry"), material.corpus
    rows = rules.judged_rows(material)
    rng = np.random.default_rng(0)
    int8, float32 = (rng.uniform(0.1, 0.9, len(rows)) for _ in range(2))
    found = rules.judge(material, outputs_of(int8), outputs_of(float32))
    part = np.isin(rows, corpus.indices("test"))
    silent = part & np.array([corpus.clips[row].start_seconds == 0 for row in rows])
    assert found.test["quiet_max_score"] == pytest.approx(int8[silent].max(), rel=1e-4)
    assert found.test["int8_change"] == pytest.approx(np.abs(int8 - float32)[part].mean(), rel=1e-4)
    teacher = teacher_probability(material.teacher_logits[rows])
    expected = np.corrcoef(int8[part], teacher[part])[0, 1]
    assert found.test["teacher_correlation"] == pytest.approx(expected, abs=1e-4)
    assert correlation(int8, np.ones(len(rows))) == 0.0


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_a_student_with_yamnets_outputs_runs_in_tflm(material: Material, tmp_path: Path) -> None:
    params = {**space.START_POINTS[0], "alpha": 0.3, "peak_lr": 3e-3, "schedule": "cosine"}
    assignment = Assignment("baby_cry", material, load_board(space.BOARD), 60, 0, tmp_path)
    metrics = run_trial(assignment, 0, params)
    assert metrics["parameters"] == 79_977
    assert metrics["validation"]["auc"] == metrics["score_int8"] > 0.9
    settings_ = json.loads((tmp_path / "0" / "student.json").read_text())
    assert settings_["class_of_output"] == class_of_output().tolist()
    model = (tmp_path / "0" / "student.int8.tflite").read_bytes()
    features = recipe("baby_cry").training_set(material, space.space(FixedTrial(dict(params)))).features[:6]
    ours, micro = Int8Model(model), runtime.Interpreter.from_bytes(model)
    for clip, expected in zip(ours.quantized(features), ours.codes(features), strict=True):
        micro.set_input(clip[None], 0)
        micro.invoke()
        found = micro.get_output(0)[0]
        assert found.shape == (CLASSES,)
        assert np.abs(found.astype(int) - expected).max() <= 1


def assert_views_are_taught_for_both_heads(material: Material) -> None:
    train = material.corpus.indices("train")
    for head, outputs in (("yamnet", CLASSES), ("cry", 2)):
        point = {**space.START_POINTS[0], "head": head, "view_share": 0.5, "filter": False}
        data = recipe("baby_cry").training_set(material, space.space(FixedTrial(point)))
        assert len(data.views) == 2
        for view in data.views:
            assert view.teacher.shape == data.teacher.shape == (len(material.corpus.clips), outputs)
            assert (view.teacher[train] != data.teacher[train]).any()
            assert (np.delete(view.teacher, train, axis=0) == np.delete(data.teacher, train, axis=0)).all()


def test_yamnet_teaches_without_a_head(cry_folder: Path, tmp_path: Path) -> None:
    tensorflow: Any = importlib.import_module("tensorflow")

    class Loudness(tensorflow.Module):  # type: ignore[misc]
        """Class 20 where a patch is loud, class 494 where it is not."""

        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None], tensorflow.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, waveform: Any) -> Any:
            loud = tensorflow.sigmoid(100 * tensorflow.reduce_mean(tensorflow.square(waveform[:PATCH_SAMPLES])) - 0.3)
            return (loud * tensorflow.one_hot(20, CLASSES) + (1 - loud) * tensorflow.one_hot(494, CLASSES))[None]

    tensorflow.saved_model.save(Loudness(), str(tmp_path))
    request = Request(cry_folder, teacher=f"yamnet:{tmp_path}")
    found = recipe("baby_cry").prepare(request)
    assert found.teacher_logits.shape == (24 * WINDOWS, CLASSES)
    probability = teacher_probability(found.teacher_logits)
    silent = np.array([clip.start_seconds == 0 for clip in found.corpus.clips])
    assert probability[silent].max() < probability[~silent].min()
    assert found.teacher["name"] == f"yamnet:{tmp_path.name}"
    np.testing.assert_array_equal(recipe("baby_cry").prepare(request).teacher_logits, found.teacher_logits)
    assert_views_are_taught_for_both_heads(found)
    lines = recipe("baby_cry").summary(found)
    assert "train 8 (24 windows), validation 8 (24 windows), test 8 (24 windows) recordings" in lines[0]


def test_a_teacher_that_does_not_know_cries_is_warned_about(cry_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clueless(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
        return Teacher(np.zeros((len(corpus.clips), 2), np.float32), "clueless", "0")

    monkeypatch.setattr(baby_cry, "taught_by", clueless)
    warnings = recipe("baby_cry").prepare(Request(cry_folder)).warnings
    assert "teacher: clueless reaches AUC 0.50 on train, under 0.8: it filters badly" in warnings


def test_a_fine_tuned_teacher_is_refused_before_any_work_where_views_are_heard(tmp_path: Path) -> None:
    request = Request(tmp_path / "nowhere", teacher="fine_tuned(wav2vec2:somewhere, layers=1)")
    message = r"--teacher: fine_tuned\(.*\) cannot score clips in noise and rooms; add --set view_share=0"
    with pytest.raises(ValueError, match=message):
        recipe("baby_cry").prepare(request)
    with pytest.raises(ValueError, match=r"--data: .*nowhere is not there"):
        recipe("baby_cry").prepare(replace(request, views=False))


def test_captures_reach_the_training_split(cry_folder: Path, tmp_path: Path) -> None:
    for take in range(20, 40):
        for label in ("crying", "other"):
            (tmp_path / label).mkdir(exist_ok=True)
            samples = recorded(label == "crying", take)
            soundfile.write(tmp_path / label / f"{take}.wav", samples, RATE_HZ, subtype="PCM_16")
    rules = recipe("baby_cry")
    both, private = (
        rules.prepare(Request(cry_folder, private=tmp_path, train_on=whose)) for whose in ("both", "private")
    )
    # Of twenty captures of a kind fourteen are for training, and of twelve public recordings four.
    assert both.data["recordings"]["train"] == {"_other_": 18, "baby_cry": 18}
    assert private.data["recordings"]["train"] == {"_other_": 14, "baby_cry": 14}
    assert both.data["content_hash"] != private.data["content_hash"]
