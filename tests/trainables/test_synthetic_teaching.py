"""Synthetic clips in the recipe of values: trained on as labels, and nowhere else."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from optuna.trial import FixedTrial
from torch import nn

from export.evaluation_rows import drawn
from export.markup import html
from spaces import valence_arousal
from spaces.candidate import Candidate, SyntheticMix
from trainables import synthetic_clips as module
from trainables.conditional_gan import GanSettings
from trainables.corpora.arousal_task import open_music
from trainables.corpora.corpus import SPLITS
from trainables.criterion import Batch
from trainables.distil import teach
from trainables.grids import TEACHER_GRID
from trainables.learner import Learner
from trainables.recipe import Material
from trainables.recipes.valence_arousal import RECIPE
from trainables.regression import ValueDistillation
from trainables.students import build_student
from trainables.training_set import TrainingSet

CELLS, WIDTH = TEACHER_GRID[0] * TEACHER_GRID[1], 12
SMALL = {**valence_arousal.PUBLISHED[0], "dim": 48, "depth": 2, "mels": 32, "stem": 8}
MADE = 60


def candidate(**params: object) -> Candidate:
    return valence_arousal.space(FixedTrial({**SMALL, **params}))


def with_synthetic() -> Candidate:
    """Few of them, and no alignment: the material has no layers of a teacher."""
    found = candidate(alignment_weight=0.0, attention_weight=0.0)
    return replace(found, synthetic=SyntheticMix(MADE, 0.4))


def student(found: Candidate) -> nn.Module:
    torch.manual_seed(0)
    return build_student(found.student, found.front_end, 2)


def data_of(found: Candidate, clips: int = 12) -> TrainingSet:
    rng = np.random.default_rng(0)
    maps = rng.random((clips, CELLS, CELLS))
    return TrainingSet(
        features=rng.standard_normal((clips, found.front_end.frames, found.front_end.mels)).astype(np.float32),
        target=rng.uniform(-1, 1, (clips, 2)).astype(np.float32),
        teacher=rng.standard_normal((clips, 2, valence_arousal.BINS)).astype(np.float32),
        rows=np.arange(clips),
        teacher_layers=(
            rng.standard_normal((clips, CELLS, WIDTH)).astype(np.float16),
            (maps / maps.sum(-1, keepdims=True)).astype(np.float16),
        ),
        criterion=ValueDistillation,
    )


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Thirty songs of noise, and a teacher that says the same of each."""
    folder = tmp_path_factory.mktemp("songs")
    rows = ["path,valence,arousal,group"]
    for number in range(30):
        random = np.random.default_rng(number)
        soundfile.write(folder / f"{number}.wav", 0.1 * random.uniform(-1, 1, 16_000), 16_000)
        rows.append(f"{number}.wav,{random.uniform(-1, 1):.3f},{random.uniform(-1, 1):.3f},g{number}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    corpus = open_music(folder)
    logits = np.zeros((len(corpus.clips), 2, valence_arousal.BINS), np.float32)
    return Material(corpus, logits, {"seed": 0, "content_hash": ""}, {"content_hash": ""})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GanSettings", lambda: GanSettings(epochs=1))


def test_the_teacher_says_nothing_of_synthetic_clips() -> None:
    """Half of the batch synthetic: hard loss of all, the other losses of the real half at half their weight."""
    found = candidate()
    network, data = student(found).eval(), data_of(found)
    criterion = ValueDistillation(network, data, found, seed=0)
    layers = [torch.from_numpy(layer) for layer in data.teacher_layers]
    whole = Batch(
        torch.from_numpy(data.features)[:, None], torch.from_numpy(data.target), torch.from_numpy(data.teacher), layers
    )
    taught = torch.arange(12) % 2 == 0
    kept = Batch(
        whole.features[taught], whole.target[taught], whole.teacher[taught], [layer[taught] for layer in layers]
    )
    nothing = [torch.where(taught[:, None, None], layer, layer.new_zeros(())) for layer in layers]
    silent = torch.where(taught[:, None, None], whole.teacher, torch.zeros(()))
    mixed = criterion(network, whole._replace(teacher=silent, layers=nothing, taught=taught))
    alone, all_of_them = criterion(network, kept), criterion(network, whole)
    assert torch.allclose(mixed.each, all_of_them.each)
    for name in ("soft_loss", "alignment_loss", "attention_loss"):
        assert mixed.parts[name].item() == pytest.approx(alone.parts[name].item() / 2, rel=1e-4)
    none = criterion(network, whole._replace(taught=torch.zeros(12, dtype=torch.bool)))
    assert [none.parts[name].item() for name in ("soft_loss", "alignment_loss", "attention_loss")] == [0, 0, 0]
    none.total.backward()
    assert all(part.grad is None or part.grad.isfinite().all() for part in network.parameters())


def test_no_synthetic_clip_reaches_validation_or_test(material: Material) -> None:
    corpus, plain = material.corpus, RECIPE.training_set(material, candidate())
    data = RECIPE.training_set(material, with_synthetic())
    assert data.count == len(corpus.clips) + MADE
    np.testing.assert_array_equal(data.features, plain.features)
    np.testing.assert_array_equal(data.target, plain.target)
    np.testing.assert_array_equal(data.rows, corpus.indices("train"))
    for split in SPLITS:
        assert (corpus.indices(split) < data.clips).all()
    assert (RECIPE.judged_rows(material) < data.clips).all()
    held_out = {*corpus.indices("validation").tolist(), *corpus.indices("test").tolist()}
    learner = Learner(student(with_synthetic()), data, with_synthetic(), seed=0)
    for epoch in range(3):
        rows = learner.dealer.epoch_rows(data, None, 0, epoch)
        assert not held_out & set(rows.tolist())
        assert (rows >= data.clips).mean() == pytest.approx(0.4, abs=0.02)


def test_a_candidate_without_synthetic_clips_has_none(material: Material) -> None:
    data = RECIPE.training_set(material, candidate())
    assert data.synthetic is None
    assert data.count == len(material.corpus.clips)
    assert RECIPE.training_rows(material, candidate()) == []


def test_the_report_shows_the_clips_that_were_used(material: Material) -> None:
    rows = RECIPE.training_rows(material, with_synthetic())
    assert [row["type"] for row in rows] == ["table", "table", "pictures"]
    assert rows[0]["rows"][1][:2] == ["synthetic", MADE]
    shown = rows[2]["pictures"]
    assert [picture["name"].split(":")[0] for picture in shown] == ["real", "synthetic"] * 4
    features = RECIPE.training_set(material, with_synthetic()).features
    for picture in shown:
        assert (picture["width"], picture["height"]) == (min(96, features.shape[1]), features.shape[2])
        assert np.ptp(np.frombuffer(base64.b64decode(picture["levels"]), np.uint8)) > 0
    # At the corner of all that is low, and at that of all that is high.
    values = [[float(part.split()[-1]) for part in picture["name"].split(", ")] for picture in (shown[1], shown[7])]
    assert np.all(np.array(values[0]) < 0) and np.all(np.array(values[1]) > 0)
    assert "malformed" not in html(drawn(rows[2])[1])


def test_a_student_trains_on_them(material: Material) -> None:
    found = with_synthetic()
    progress = teach(
        student(found), RECIPE.training_set(material, found), found, epochs=2, seed=0, validate=lambda _: 0.0
    )
    assert len(progress.history) == 2
    assert all(np.isfinite(row["loss"]) for row in progress.history)
