"""What recipes say of their data, their teacher and a student."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import FixedTrial

from spaces import valence_arousal
from tests.trainables.points import RECIPES, material_of
from trainables.corpora.corpus import Corpus
from trainables.recipe import Request, recipe
from trainables.recipes import speech_emotion
from trainables.teachers.cross_fitted import Teacher


@pytest.mark.parametrize("layout", ["class folders", "one speaker"])
def test_data_without_speakers_can_be_learnt_from(layout: str, speech_folder: Path, tmp_path: Path) -> None:
    for path in speech_folder.rglob("*.wav"):
        name = path.name.replace("_nohash_", "-") if layout == "class folders" else "anna_nohash_" + path.stem + ".wav"
        target = tmp_path / path.parent.name / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    material = recipe("wakeword").prepare(Request(data=tmp_path, word="up", split="random"))
    assert material.teacher["train"]["f1"] > 0.5
    assert any("speaker" in warning for warning in material.warnings)


def test_figures_of_the_emotion_recipe_by_hand(speech_folder: Path) -> None:
    material = material_of("speech_emotion", speech_folder)
    rules, corpus = recipe("speech_emotion"), material.corpus
    rows = rules.judged_rows(material)
    target = corpus.targets()[rows]
    perfect = np.eye(3, dtype=np.float32)[target]
    wrong = np.roll(perfect, 1, axis=1)
    found = rules.judge(material, perfect, wrong)
    assert (found.score_int8, found.score_float) == (1.0, 0.0)
    assert found.test["retention"] == pytest.approx(1 / material.teacher["test"]["uar"])
    tables = {row["title"]: row for row in found.rows}
    test = corpus.targets()[corpus.indices("test")]
    assert tables["Test clips, INT8"]["counts"] == np.diag(np.bincount(test)).tolist()
    by_emotion = tables["Test clips by emotion, INT8"]["rows"]
    assert [row[:3] for row in by_emotion] == [
        [label, int((test == number).sum()), 1.0] for number, label in enumerate(corpus.labels)
    ]
    models = {row[0] for row in tables["Validation chose the student; test is only reported"]["rows"]}
    assert models == {"INT8", "float", "teacher", "log-mel statistics"}


def test_a_random_split_of_emotions_names_what_statistics_reach(speech_folder: Path) -> None:
    material = recipe("speech_emotion").prepare(Request(data=speech_folder, split="random"))
    reached = material.data["baseline"]["validation"]["uar"]
    expected = f"--split random: mere log-mel statistics reach UAR {reached:.2f} on validation"
    assert any(warning.startswith(expected) for warning in material.warnings)


def test_a_teacher_under_the_baseline_is_warned_about(speech_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clueless(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
        return Teacher(np.tile(np.array([1, 0, 0], np.float32), (len(corpus.clips), 1)), "clueless", "0")

    monkeypatch.setattr(speech_emotion, "taught_by", clueless)
    warnings = recipe("speech_emotion").prepare(Request(data=speech_folder)).warnings
    assert any(warning.startswith("teacher: reaches UAR 0.33 on validation, and mere log-mel") for warning in warnings)


def test_the_emotion_recipe_has_no_word(speech_folder: Path) -> None:
    with pytest.raises(ValueError, match="--word: speech_emotion has no word; leave it out"):
        recipe("speech_emotion").prepare(Request(data=speech_folder, word="up"))


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"baby_cry"}))
@pytest.mark.parametrize("captures", [{"private": Path("home")}, {"train_on": "private"}])
def test_recipes_without_captures_refuse_them(name: str, captures: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"--private, --train-on: {name} reads no private captures; leave them out"):
        recipe(name).prepare(Request(**captures))


def test_figures_of_the_word_recipe_by_hand(speech_folder: Path) -> None:
    material = material_of("wakeword", speech_folder)
    rules, corpus = recipe("wakeword"), material.corpus
    rows = rules.judged_rows(material)
    target = corpus.targets()[rows]
    perfect = np.stack([1.0 - target, target * 1.0], axis=1).astype(np.float32)
    flipped = perfect[:, ::-1].copy()
    found = rules.judge(material, perfect, flipped)
    assert (found.score_int8, found.test["f1"], found.test["false_positive_rate"]) == (1.0, 1.0, 0.0)
    assert found.score_float < 1.0
    confusion = next(row for row in found.rows if row["type"] == "confusion")
    test = corpus.targets()[corpus.indices("test")]
    assert confusion["counts"] == [[int((test == 0).sum()), 0], [0, int((test == 1).sum())]]


def test_figures_of_the_music_recipe_by_hand(speech_folder: Path) -> None:
    material = material_of("valence_arousal", speech_folder)
    rules, corpus = recipe("valence_arousal"), material.corpus
    rows = rules.judged_rows(material)
    ratings = corpus.values()[rows]
    found = rules.judge(material, ratings, ratings * np.array([1.0, -1.0], np.float32))
    assert found.score_int8 == pytest.approx(1.0)
    assert found.score_float < 1.0
    assert found.test["mae_valence"] == found.test["mae_arousal"] == 0.0
    assert found.validation["ccc_arousal"] == pytest.approx(1.0)
    teachers = material.teacher["test"]
    for name in ("", "_valence", "_arousal"):
        if teachers[f"ccc{name}"] > 0:
            assert found.test[f"retention{name}"] == pytest.approx(1 / teachers[f"ccc{name}"], rel=1e-4)
        else:
            assert f"retention{name}" not in found.test
    table, *calibrations = found.rows
    assert [row["type"] for row in calibrations] == ["calibration", "calibration"]
    assert table["columns"] == ["model", "split", "ccc", "ccc_valence", "ccc_arousal", "mae_valence", "mae_arousal"]
    assert {row[0] for row in table["rows"]} == {"INT8", "float", "teacher", "log-mel statistics"}


def test_only_a_student_that_is_held_against_them_gets_the_teachers_tokens_and_maps(speech_folder: Path) -> None:
    material, rules = material_of("valence_arousal", speech_folder), recipe("valence_arousal")
    assert material.teacher_layers is not None
    assert material.teacher_maps is not None
    assert {material.teacher_layers.key, material.teacher_maps.key} <= rules.arrays(material).keys()
    start = valence_arousal.PUBLISHED[0]
    for changes, held in (({}, True), ({"alignment_weight": 0.0}, True), (valence_arousal.LABELS_ALONE, False)):
        candidate = valence_arousal.space(FixedTrial({**start, **changes}))
        found = rules.training_set(material, candidate).teacher_layers
        assert len(found) == (2 if held else 0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"word": "up"}, "--word: valence_arousal has no word; leave it out"),
        ({"teacher_layers": (1,)}, "--teacher-layers: valence_arousal aligns with its teacher's last layer"),
        ({"streams": Path("home")}, "valence_arousal counts no false alarms; leave them out"),
    ],
)
def test_the_music_recipe_refuses_what_it_does_not_know(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe("valence_arousal").prepare(Request(teacher="small_vit", **asked))
