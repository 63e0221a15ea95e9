"""Teachers: real encoders, and a head that scores no clip it saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from trainables.corpora.wakeword_task import open_corpus
from trainables.recipe import Request, recipe
from trainables.teachers import open_encoder
from trainables.teachers.cross_fitted import taught_by
from trainables.teachers.ensemble import joined
from trainables.teachers.head import cross_fitted_logits, folds, grouped_folds


@pytest.fixture(scope="session")
def small_wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wav2Vec2 of two small layers, saved as a person's checkpoint would be."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("wav2vec2")
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture
def audio() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((5, 16_000))).astype(np.float32)


def test_speech_embedding_is_openwakewords(audio: np.ndarray) -> None:
    embeddings = open_encoder("speech_embedding").embed(audio)
    assert embeddings.shape == (5, 10, 96)
    assert np.isfinite(embeddings).all()


def test_speech_embedding_of_a_clip_does_not_depend_on_its_neighbours(audio: np.ndarray) -> None:
    encoder = open_encoder("speech_embedding")
    together = encoder.embed(audio)
    alone = np.concatenate([encoder.embed(audio[i : i + 1]) for i in range(5)])
    assert np.array_equal(together, alone)


def test_wav2vec2_is_transformers_on_normalised_audio(small_wav2vec2: Path, audio: np.ndarray) -> None:
    found = open_encoder(f"wav2vec2:{small_wav2vec2}").embed(audio)
    model = Wav2Vec2Model.from_pretrained(small_wav2vec2).eval()
    normal = (audio - audio.mean(1, keepdims=True)) / np.sqrt(audio.var(1, keepdims=True) + 1e-7)
    with torch.no_grad():
        hidden = model(torch.from_numpy(normal)).last_hidden_state.numpy()
    # 49 hidden states into ten stretches: the first covers states 0-4, the last 44-48.
    np.testing.assert_allclose(found[:, 0], hidden[:, :5].mean(1), atol=1e-4)
    np.testing.assert_allclose(found[:, 9], hidden[:, 44:].mean(1), atol=1e-4)


def test_wav2vec2_hash_is_of_its_weights(small_wav2vec2: Path, tmp_path: Path) -> None:
    other = Wav2Vec2Model.from_pretrained(small_wav2vec2)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    other.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    first, again, changed = (
        open_encoder(f"wav2vec2:{folder}").content_hash for folder in (small_wav2vec2, small_wav2vec2, tmp_path)
    )
    assert first == again != changed


@pytest.mark.parametrize("spec", ["", "yamnet", "wav2vec2", "wav2vec2:", "speech_embedding:big"])
def test_unknown_teachers_are_named(spec: str) -> None:
    with pytest.raises(ValueError, match=r"--teacher: .* is unknown; use speech_embedding, wav2vec2:NAME"):
        open_encoder(spec)


def test_wav2vec2_teaches_the_whole_recipe(small_wav2vec2: Path, speech_folder: Path) -> None:
    request = Request(data=speech_folder, word="up", teacher=f"wav2vec2:{small_wav2vec2}")
    material = recipe("wakeword").prepare(request)
    assert material.teacher_logits.shape == (108, 2)
    assert material.teacher["name"] == f"wav2vec2:{small_wav2vec2}"
    assert 0 <= material.teacher["validation"]["f1"] <= 1


def embedded(speakers: int = 10, clips: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(speakers), clips)
    target = np.tile(np.arange(clips) % 2, speakers)
    embeddings = rng.normal(size=(len(groups), 4, 8)).astype(np.float32)
    embeddings[:, :, 0] += 2.0 * target[:, None]
    return embeddings, target.astype(np.int64), groups.astype(np.int64)


def test_the_head_learns_what_there_is_to_learn() -> None:
    embeddings, target, groups = embedded()
    logits = cross_fitted_logits(embeddings, target, groups, groups < 8, 2, seed=0)
    for rows in (groups < 8, groups >= 8):
        assert (logits[rows].argmax(1) == target[rows]).mean() > 0.9


def test_no_training_clip_is_scored_by_a_head_that_saw_its_speaker() -> None:
    # Labels are noise that only memory could repeat: each speaker's are told by a mark of the speaker's own.
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10).astype(np.int64)
    target = rng.integers(0, 2, len(groups))
    embeddings = 0.1 * rng.normal(size=(len(groups), 4, 80)).astype(np.float32)
    embeddings[np.arange(len(groups)), :, groups * 2 + target] += 3.0
    logits = cross_fitted_logits(embeddings, target, groups, np.ones(len(groups), bool), 2, seed=0)
    assert abs((logits.argmax(1) == target).mean() - 0.5) < 0.2
    remembered = cross_fitted_logits(
        np.tile(embeddings, (2, 1, 1)), np.tile(target, 2), np.tile(groups, 2), np.arange(800) < 400, 2, seed=0
    )
    assert (remembered[400:].argmax(1) == target).mean() > 0.9


def test_a_head_is_never_fitted_without_the_word() -> None:
    # One speaker says the word: leaving that speaker out would teach that the word is not the word.
    embeddings, target, groups = embedded()
    target = np.where(groups == 0, target, 0)
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=embeddings.shape).astype(np.float32)
    embeddings[:, :, 0] += 3.0 * target[:, None]
    assert grouped_folds(target, groups, 0) == []
    logits = cross_fitted_logits(embeddings, target, groups, np.ones(len(target), bool), 2, seed=0)
    margin = logits[:, 1] - logits[:, 0]
    assert margin[target == 1].mean() > margin[target == 0].mean() + 0.2


def test_folds_share_no_speaker() -> None:
    _, target, groups = embedded()
    for fitted, held_out in folds(target, groups, 0):
        assert not set(groups[fitted]) & set(groups[held_out])


def test_another_model_in_the_folder_is_refused(tmp_path: Path) -> None:
    config = HubertConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    HubertModel(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"wav2vec2:{tmp_path} holds a hubert"):
        open_encoder(f"wav2vec2:{tmp_path}")


def test_normalisation_is_part_of_the_hash(small_wav2vec2: Path, tmp_path: Path) -> None:
    shutil.copytree(small_wav2vec2, tmp_path / "same")
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path / "same")
    hashes = {open_encoder(f"wav2vec2:{folder}").content_hash for folder in (small_wav2vec2, tmp_path / "same")}
    assert len(hashes) == 2


def test_logits_repeat_from_their_seed() -> None:
    embeddings, target, groups = embedded()
    once, again = (cross_fitted_logits(embeddings, target, groups, groups < 8, 2, seed=3) for _ in range(2))
    assert np.array_equal(once, again)


def test_two_teachers_are_joined_and_named(small_wav2vec2: Path, speech_folder: Path) -> None:
    corpus = open_corpus(speech_folder, "up")
    specs = ("speech_embedding", f"wav2vec2:{small_wav2vec2}")
    alone = [taught_by(spec, corpus, 1.0, 0) for spec in specs]
    together = taught_by(f"confident({', '.join(specs)})", corpus, 1.0, 0)
    assert together.name == f"confident({', '.join(specs)})"
    np.testing.assert_array_equal(together.logits, joined("confident", [teacher.logits for teacher in alone]))
    evenly = taught_by(f"mean({', '.join(specs)})", corpus, 1.0, 0)
    assert len({together.content_hash, evenly.content_hash, *(teacher.content_hash for teacher in alone)}) == 4
