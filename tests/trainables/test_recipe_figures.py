"""What recipes say of their data, their teacher and a student."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
