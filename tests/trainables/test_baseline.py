"""The baseline of statistics: a regression that sees the training split alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from spaces.front_end import FrontEnd
from trainables.baseline import statistics_logits
from trainables.corpora.corpus import content_hash
from trainables.corpora.emotion_task import open_emotions

FRONT_END = FrontEnd(hop_samples=320, mels=20)


def test_logits_are_those_of_a_regression_on_training_clips(speech_folder: Path) -> None:
    corpus = open_emotions(speech_folder)
    logits = statistics_logits(corpus, FRONT_END)
    assert logits.shape == (len(corpus.clips), 3)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, rtol=1e-5)
    train, target = corpus.indices("train"), corpus.targets()
    assert (logits[train].argmax(1) == target[train]).mean() > 2 / 3


def test_other_splits_are_not_seen(speech_folder: Path) -> None:
    corpus = open_emotions(speech_folder)
    label = {"up": "down", "down": "hat", "hat": "up"}
    clips = tuple(clip if clip.split == "train" else replace(clip, label=label[clip.label]) for clip in corpus.clips)
    mislabelled = replace(corpus, clips=clips, content_hash=content_hash(clips))
    np.testing.assert_array_equal(statistics_logits(corpus, FRONT_END), statistics_logits(mislabelled, FRONT_END))
