"""A teacher's word on views: by the heads of the clean clips, each view heard once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.cache import cached_array
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import Corpus
from trainables.corpora.disturbances import open_disturbances
from trainables.corpora.views import ClipView, Rule, clip_views
from trainables.corpora.wakeword_task import open_corpus
from trainables.teachers import of_views
from trainables.teachers.cross_fitted import taught_by
from trainables.teachers.encoder import Encoder
from trainables.teachers.ensemble import joined
from trainables.teachers.layer_states import layer_states
from trainables.teachers.of_views import refuse_views, view_layer_states, view_logits
from trainables.teachers.speech_embedding import SpeechEmbedding

SAMPLES = 16_000
UNCHANGED = Rule(noise_share=0.0, room_share=0.0)


@pytest.fixture(scope="module")
def corpus(speech_folder: Path) -> Corpus:
    return open_corpus(speech_folder, "up")


def some_views(corpus: Corpus, rule: Rule, seed: int = 0, count: int = 2) -> tuple[ClipView, ...]:
    around = open_disturbances(corpus, SAMPLES, seed, corpus.indices("train"), corpus.indices("train")[:0])
    return clip_views(corpus, SAMPLES, around, count, seed, rule)


def test_a_clean_view_is_scored_as_the_clips_are(corpus: Corpus) -> None:
    clean = taught_by("speech_embedding", corpus, 1.0, 0).logits[corpus.indices("train")]
    found = view_logits("speech_embedding", corpus, 1.0, 0, some_views(corpus, UNCHANGED))
    assert np.array_equal(found, np.stack([clean, clean]))


def test_noise_changes_what_the_teacher_says(corpus: Corpus) -> None:
    clean = taught_by("speech_embedding", corpus, 1.0, 0).logits[corpus.indices("train")]
    found = view_logits("speech_embedding", corpus, 1.0, 0, some_views(corpus, Rule()))
    assert found.shape == (2, *clean.shape)
    for view in found:
        assert np.abs(view - clean).max() > 0.1
        assert np.corrcoef(view[:, 1], clean[:, 1])[0, 1] > 0.5


def test_each_view_is_heard_once_and_only_its_training_clips(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    embed = SpeechEmbedding.embed

    def counted(encoder: SpeechEmbedding, audio: np.ndarray) -> np.ndarray:
        heard.append(len(audio))
        return embed(encoder, audio)

    views = some_views(corpus, Rule(), seed=5, count=3)
    taught_by("speech_embedding", corpus, 1.0, 5)
    monkeypatch.setattr(SpeechEmbedding, "embed", counted)
    train = len(corpus.indices("train"))
    two = view_logits("speech_embedding", corpus, 1.0, 5, views[:2])
    assert sum(heard) == 2 * train
    assert np.array_equal(view_logits("speech_embedding", corpus, 1.0, 5, views[:2]), two)
    three = view_logits("speech_embedding", corpus, 1.0, 5, views)
    assert sum(heard) == 3 * train
    assert np.array_equal(three[:2], two)


class Marking(Encoder):
    """A teacher whose embedding is the clip's loudness and a mark of its own."""

    def __init__(self, name: str, mark: float) -> None:
        self.name, self.content_hash, self._mark = name, name, mark

    def embed(self, audio: np.ndarray) -> np.ndarray:
        loudness = np.abs(audio).mean(axis=1)
        marks = np.stack([loudness, self._mark * loudness, loudness**2, np.ones_like(loudness)], axis=1)
        return np.repeat(marks[:, None].astype(np.float32), 4, axis=1)


def test_several_teachers_are_joined_in_every_view(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_views, "open_encoder", lambda spec: Marking(spec, float(len(spec))))
    views = some_views(corpus, Rule())
    alone = [view_logits(spec, corpus, 1.0, 0, views) for spec in ("a", "bbb")]
    together = view_logits("confident(a, bbb)", corpus, 1.0, 0, views)
    expected = np.stack([joined("confident", [alone[0][view], alone[1][view]]) for view in range(2)])
    np.testing.assert_allclose(together, expected, atol=1e-6)


def test_layer_states_of_a_clean_view_are_those_of_the_clips(corpus: Corpus) -> None:
    (view,) = some_views(corpus, UNCHANGED, count=1)
    (found,) = view_layer_states("speech_embedding", corpus, 1.0, view).arrays()
    (clean,) = layer_states("speech_embedding", corpus, 1.0, (1,))
    train = corpus.indices("train")
    assert np.array_equal(found[train], clean[train])
    assert not np.delete(found, train, axis=0).any()
    with pytest.raises(ValueError, match="has layer 1, the embedding"):
        view_layer_states("speech_embedding", corpus, 1.0, view, (2,))


def test_views_are_of_the_clips_own_length(corpus: Corpus) -> None:
    (view,) = some_views(corpus, UNCHANGED, count=1)
    assert np.array_equal(view.audio(), load_audio(corpus, SAMPLES))
    assert np.array_equal(cached_array(view.key, lambda: np.zeros(1)), view.audio())


def test_a_fine_tuned_teacher_is_told_of_before_it_is_trained() -> None:
    refuse_views("mean(speech_embedding, wav2vec2:somewhere)")
    with pytest.raises(
        ValueError, match=r"--teacher: fine_tuned\(.*\) cannot score clips in noise .* add --set view_share=0"
    ):
        refuse_views("mean(speech_embedding, fine_tuned(wav2vec2:somewhere, layers=1))")
