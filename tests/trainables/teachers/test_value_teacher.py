"""Teachers of values: what they are given and show, trained in stages, cross-fitted, kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import soundfile
import torch
import transformers

from spaces.valence_arousal import BINS
from trainables.corpora.arousal_task import open_music
from trainables.corpora.corpus import Corpus
from trainables.grids import TEACHER_GRID
from trainables.teachers import value_teacher
from trainables.teachers.computing import Computing
from trainables.teachers.picture import PictureTeacher, open_picture_teacher, pictures
from trainables.teachers.value_head import ValueRegressor
from trainables.teachers.value_teacher import value_folds, values_taught_by
from trainables.teachers.value_training import FROM_NOTHING, STAGED, shown, train
from trainables.value_losses import expected_values

CPU = Computing(torch.device("cpu"))
CELLS = TEACHER_GRID[0] * TEACHER_GRID[1]
RATE_HZ, SECONDS = 16_000, 4.0
TINY: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 5, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="session")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    transformers.ViTModel(transformers.ViTConfig(image_size=32, patch_size=8, **TINY)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def ast_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ast")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"max_length": 200, "num_mel_bins": 32, "frequency_stride": 16, "time_stride": 16}
    transformers.ASTModel(transformers.ASTConfig(**TINY, **shape)).save_pretrained(folder)
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=200).save_pretrained(folder)
    return folder


def tone(hertz: float, loudness: float, seed: int) -> np.ndarray:
    seconds = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).standard_normal(len(seconds))
    return (loudness * np.sin(2 * np.pi * hertz * seconds) + 0.01 * noise).astype(np.float32)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Tones: pleasant where high, lively where loud."""
    folder = tmp_path_factory.mktemp("tones")
    rows = []
    for number in range(24):
        split = "train" if number < 16 else "validation" if number < 20 else "test"
        pitch, level = number % 4 / 1.5 - 1, number // 4 % 3 - 1
        soundfile.write(folder / f"{number}.wav", tone(600 * 2**pitch, 0.1 * 2**level, number), RATE_HZ)
        rows.append(f"{number}.wav,{pitch:.3f},{0.9 * level},band{number // 2},{split}")
    (folder / "manifest.csv").write_text("\n".join(["path,valence,arousal,group,split", *rows]))
    return open_music(folder)


@pytest.fixture
def hurried() -> Iterator[None]:
    stages: dict[str, Any] = {
        "STAGED": tuple(replace(stage, epochs=2) for stage in STAGED),
        "FROM_NOTHING": (replace(FROM_NOTHING[0], epochs=1),),
    }
    with patch.multiple(value_teacher, **stages):
        yield


def opened(spec: str, vit_folder: Path, ast_folder: Path) -> PictureTeacher:
    return open_picture_teacher(spec.format(vit=vit_folder, ast=ast_folder), SECONDS)


AUDIO = np.stack([tone(440.0, 0.1, seed) for seed in range(3)])


@pytest.mark.parametrize("spec", ["small_vit", "vit:{vit}", "ast:{ast}"])
def test_a_teacher_shows_distributions_tokens_and_maps(spec: str, vit_folder: Path, ast_folder: Path) -> None:
    teacher = opened(spec, vit_folder, ast_folder)
    (found,) = shown(teacher.untrained(2, 0), teacher.given(AUDIO), CPU)
    width = 128 if spec == "small_vit" else 16
    assert found.logits.shape == (3, 2, BINS)
    assert found.tokens.shape == (3, CELLS, width)
    assert found.maps.shape == (3, CELLS, CELLS)
    torch.testing.assert_close(found.maps.sum(-1), torch.ones(3, CELLS))
    assert found.maps.std() > 0


@pytest.mark.parametrize("spec", ["vit:{vit}", "ast:{ast}"])
def test_frozen_layers_and_trained_ones_are_the_whole_encoder(spec: str, vit_folder: Path, ast_folder: Path) -> None:
    teacher = opened(spec, vit_folder, ast_folder)
    network = teacher.untrained(2, 0).eval()
    with torch.no_grad():
        ours = network.features(torch.from_numpy(teacher.given(AUDIO)))
        if spec.startswith("vit"):
            whole = transformers.ViTModel.from_pretrained(vit_folder).eval()
            seen = torch.from_numpy(pictures(AUDIO, 32))[:, None].expand(-1, 3, -1, -1)
            theirs = whole(seen).last_hidden_state[:, 0]
        else:
            ast = transformers.ASTModel.from_pretrained(ast_folder).eval()
            extractor = transformers.ASTFeatureExtractor.from_pretrained(ast_folder)
            theirs = ast(extractor(list(AUDIO), sampling_rate=RATE_HZ, return_tensors="pt").input_values).pooler_output
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_maps_are_those_of_the_patches_in_time_order() -> None:
    class Fixed(torch.nn.Module):
        """A layer whose attention is known: patch 0, the low band at first, is all that anybody looks at."""

        def __init__(self) -> None:
            super().__init__()
            self.attention = self.Map()

        class Map(torch.nn.Module):
            def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                maps = torch.zeros(len(tokens), 1, tokens.shape[1], tokens.shape[1])
                maps[..., 1 + 1] = 1.0
                return tokens, maps

        def forward(self, tokens: torch.Tensor, mask: None) -> torch.Tensor:
            return self.attention(tokens)[0]  # type: ignore[no-any-return]

    bands, steps = TEACHER_GRID[1], TEACHER_GRID[0]
    network = ValueRegressor(torch.nn.Identity(), [Fixed()], torch.nn.LayerNorm(3), 2, 1, (bands, steps, steps))
    tokens = torch.arange(1.0 + bands * steps)[None, :, None].expand(1, -1, 3)
    found = network.eval().shown(tokens)
    # Patches go step by step within a band, cells band by band within a step: patch 1 is the lowest band's second step.
    assert found.maps[0, :, bands].tolist() == [1.0] * CELLS
    assert found.tokens[0, :2, 0].tolist() == [1.0, 1.0 + steps]


def test_pictures_are_normal_and_square() -> None:
    found = pictures(AUDIO, 48)
    assert found.shape == (3, 48, 48)
    assert abs(found.mean()) < 0.1
    low, high = pictures(np.stack([tone(200.0, 0.3, 0), tone(3000.0, 0.3, 0)]), 48).mean(axis=2).argmax(axis=1)
    assert low < 12 < 24 < high


def test_levels_are_kept_where_they_are_asked_for() -> None:
    soft, loud = pictures(np.stack([tone(440.0, 0.02, 0), tone(440.0, 0.2, 0)]), 48, levels=True)
    assert loud.max() > soft.max() + 1
    soft, loud = pictures(np.stack([AUDIO[0], 0.1 * AUDIO[0]]), 48)
    np.testing.assert_allclose(soft, loud, atol=0.05)


def test_training_from_nothing_learns_and_repeats_itself(corpus: Corpus) -> None:
    teacher = open_picture_teacher("small_vit", SECONDS)
    rng = np.random.default_rng(0)
    bright = rng.uniform(-1, 1, 16).astype(np.float32)
    seen = (bright[:, None, None, None] + 0.1 * rng.standard_normal((16, 1, 96, 96))).astype(np.float32)
    values = np.stack([bright, -bright], 1)
    stages = (replace(FROM_NOTHING[0], epochs=20, masked=False),)
    found = []
    for _ in range(2):
        network = teacher.untrained(2, 0)
        train(network, seen, values, np.arange(16), stages, 0, CPU)
        found.append(next(shown(network, seen, CPU)).logits)
    assert torch.equal(*found)
    assert np.abs(expected_values(found[0]).numpy() - values).mean() < 0.2


def test_the_first_stage_trains_the_head_alone(vit_folder: Path, ast_folder: Path, corpus: Corpus) -> None:
    teacher = opened("vit:{vit}", vit_folder, ast_folder)
    fresh, values = teacher.untrained(2, 0), np.zeros((3, 2), np.float32)
    for stages, moved in ((STAGED[:1], False), (STAGED, True)):
        network = teacher.untrained(2, 0)
        train(network, teacher.given(AUDIO), values, np.arange(3), stages, 0, CPU)
        pairs = zip(network.layers.parameters(), fresh.layers.parameters(), strict=True)
        assert any(not torch.equal(ours, before) for ours, before in pairs) == moved
        heads = zip(network.head.parameters(), fresh.head.parameters(), strict=True)
        assert any(not torch.equal(ours, before) for ours, before in heads)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("spec", ["vit:{vit}", "ast:{ast}"])
def test_a_corpus_is_taught_once_and_kept(
    spec: str, corpus: Corpus, vit_folder: Path, ast_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = spec.format(vit=vit_folder, ast=ast_folder)
    first = values_taught_by(name, corpus, SECONDS, seed=0)
    assert first.logits.shape == (24, 2, BINS)
    assert first.tokens.whole().shape == (1, 24, CELLS, 16)
    assert first.maps.whole().shape == (1, 24, CELLS, CELLS)
    assert np.allclose(first.maps.whole().sum(-1), 1, atol=0.01)
    assert first.parameters > 1000
    monkeypatch.setattr(value_teacher, "train", None)
    again = values_taught_by(name, corpus, SECONDS, seed=0)
    assert np.array_equal(first.logits, again.logits)
    with pytest.raises(TypeError):
        values_taught_by(name, corpus, SECONDS, seed=1)


@pytest.mark.usefixtures("hurried")
def test_no_clip_is_scored_by_a_copy_that_saw_its_group(
    corpus: Corpus, vit_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[set[int]] = []

    def spy(network: ValueRegressor, given: object, values: object, rows: np.ndarray, *rest: object) -> None:
        fitted.append(set(rows.tolist()))

    monkeypatch.setattr(value_teacher, "train", spy)
    values_taught_by(f"vit:{vit_folder}", corpus, SECONDS, seed=7)
    training = set(corpus.indices("train").tolist())
    group = {row: corpus.clips[row].group for row in training}
    assert all(rows <= training for rows in fitted)
    folds = [rows for rows in fitted if rows != training]
    assert len(folds) == value_teacher.FOLDS
    for rows in folds:
        assert not {group[row] for row in rows} & {group[row] for row in training - rows}
    assert set.union(*(training - rows for rows in folds)) == training


def test_few_groups_are_parted_by_clip() -> None:
    found = value_folds(np.array([0, 0, 0, 1, 1, 1]), seed=0)
    assert sorted(row for _, held_out in found for row in held_out) == list(range(6))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("speech_embedding", "'speech_embedding' is unknown; values are taught by small_vit, vit:NAME_OR_FOLDER, ast:"),
        ("vit:{ast}", "holds a audio-spectrogram-transformer, not a vit"),
        ("vit:/nowhere", "vit:/nowhere cannot be loaded"),
    ],
)
def test_teachers_that_cannot_be_had_are_named(spec: str, message: str, vit_folder: Path, ast_folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        opened(spec, vit_folder, ast_folder)
