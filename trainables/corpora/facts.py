"""What run.json says of a corpus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from trainables.corpora.corpus import SPLITS

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus


def data_facts(corpus: Corpus, seed: int) -> dict[str, Any]:
    """Name, hash, clips by split and class, speakers, how it was split and what was left out, as plain data.

    Of clips that have values, the classes are the labels that balance their splits.
    """
    rated = any(clip.values for clip in corpus.clips)
    classes = sorted({clip.label for clip in corpus.clips}) if rated else corpus.labels
    counts = Counter((clip.split, clip.label) for clip in corpus.clips)
    return {
        "name": corpus.name,
        "content_hash": corpus.content_hash,
        "clips": {split: {label: counts[split, label] for label in classes} for split in SPLITS},
        "speakers": {split: len(corpus.speakers(split)) for split in SPLITS},
        "split": corpus.split_rule,
        "speaker_disjoint": corpus.speaker_disjoint,
        "synthetic": corpus.synthetic,
        "skipped": [[str(path), reason] for path, reason in corpus.skipped],
        "seed": seed,
    }
