"""The speech-enhancement task: exact SNRs, splits that share nothing, pairs as given, what cannot be mixed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import SPLITS
from trainables.corpora.enhancement_task import open_enhancement
from trainables.corpora.mixtures import PEAK, Mixing, Mixtures

Record = Callable[..., Path]
SHORT = Mixing(clip_seconds=0.1, views=2)


def snrs_db(mixtures: Mixtures) -> np.ndarray:
    noisy, clean = mixtures.noisy().astype(float), mixtures.clean().astype(float)
    return np.asarray(10 * np.log10((clean**2).sum(axis=1) / ((noisy - clean) ** 2).sum(axis=1)))


def apart(record: Record, speakers: int = 8, kinds: int = 5) -> None:
    """DNS-Challenge's folders: every speaker says two things, every kind of noise has three recordings."""
    for number in range(2 * speakers):
        record(f"clean/reader_{number % speakers:05d}_{number}.wav", samples=3500)
    for number in range(3 * kinds):
        record(f"noise/kind{number % kinds}/{number}.wav", samples=5000)


def pairs(record: Record, count: int = 12) -> None:
    """Clean, and clean plus noise of its own, by speakers of two files each; four are for test."""
    for number in range(count):
        split = "test" if number < 4 else "train"
        clean = record(f"clean_{split}/p{number // 2:03d}_{number}.wav", samples=1500)
        noise = np.random.default_rng([3, number]).normal(0, 0.02 * (1 + number), 1500)
        target = clean.parent.parent / f"noisy_{split}" / clean.name
        target.parent.mkdir(exist_ok=True)
        soundfile.write(target, soundfile.read(clean)[0] * 0.5 + noise, 16_000, subtype="FLOAT")
        soundfile.write(clean, soundfile.read(clean)[0] * 0.5, 16_000, subtype="FLOAT")


def test_the_samples_have_the_snrs_that_their_facts_say(record: Record, tmp_path: Path) -> None:
    apart(record)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    pairs = mixtures.pairs()
    assert pairs.shape == (len(mixtures.corpus.clips), 2, 1600) and pairs.dtype == np.float32
    assert np.abs(snrs_db(mixtures) - mixtures.snrs_db()).max() < 0.01
    assert np.abs(pairs).max() <= PEAK + 1e-6
    for split in ("validation", "test"):
        rows = mixtures.rows(split)
        assert len(rows) == 3 * len({mixtures.facts[row].clip for row in rows})
        assert sorted(set(mixtures.snrs_db()[rows])) == [-5.0, 0.0, 5.0]
        assert np.array_equal(rows, mixtures.corpus.indices(split))
    train = mixtures.rows("train")
    assert len(mixtures.rows("train", view=1)) == len(train) / 2
    assert mixtures.snrs_db()[train].min() >= -10 and mixtures.snrs_db()[train].max() <= 10
    assert len(set(mixtures.snrs_db()[train])) == len(train)


def test_splits_share_no_speaker_and_no_noise_and_test_has_a_kind_of_its_own(record: Record, tmp_path: Path) -> None:
    apart(record)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    assert mixtures.corpus.speaker_disjoint
    for one, other in combinations(SPLITS, 2):
        assert not mixtures.corpus.speakers(one) & mixtures.corpus.speakers(other)
        files = [{fact.noise.file.path for fact in mixtures.facts if fact.split == split} for split in (one, other)]
        assert not files[0] & files[1]
    trained = {fact.noise.kind for fact in mixtures.facts if fact.split == "train"}
    unseen = {fact.noise.kind for fact in mixtures.facts if fact.unseen}
    assert unseen and not unseen & trained
    assert all(fact.split == "test" for fact in mixtures.facts if fact.unseen)


def test_copies_of_noise_in_two_given_splits_are_left_out(record: Record, tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        for number in range(25):
            record(f"clean/{split}/{split}{number % 5}/{number}.wav", samples=1600)
        for number in range(8):
            record(f"noise/{split}/rain/{number}.wav", samples=1600)
    record("noise/train/rain/copy.wav", seed=5, samples=1600)
    record("noise/test/rain/copy.wav", seed=5, samples=1600)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    assert mixtures.corpus.split_rule == "given"
    assert "1 recordings of noise are left out: the same audio is in another split" in mixtures.corpus.warnings
    used = {fact.noise.file.path.relative_to(tmp_path).as_posix() for fact in mixtures.facts if fact.split == "train"}
    assert "data/noise/train/rain/copy.wav" not in used
    assert any(warning.startswith("test has no kind of noise") for warning in mixtures.corpus.warnings)


def test_the_seed_decides_everything(record: Record, tmp_path: Path) -> None:
    apart(record)
    first, same, other = (open_enhancement(tmp_path / "data", seed=seed, mixing=SHORT) for seed in (1, 1, 2))
    assert first == same and first.key != other.key
    assert first.corpus.content_hash != other.corpus.content_hash
    views = first.pairs()[first.rows("train")][:2, 0]
    assert not np.array_equal(views[0], views[1])


def test_a_pair_is_heard_as_given_first_and_remixed_for_test(record: Record, tmp_path: Path) -> None:
    pairs(record)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    for row in mixtures.rows("train", view=0):
        fact = mixtures.facts[row]
        clean, _ = soundfile.read(fact.speech.path)
        noisy, _ = soundfile.read(fact.noise.file.path)
        assert fact.noise.file.path.name == fact.speech.path.name
        given = 10 * np.log10((clean**2).sum() / ((noisy - clean) ** 2).sum())
        assert fact.snr_db == pytest.approx(given, abs=0.01)
        ours = mixtures.noisy()[row, :1500]
        assert ours / np.abs(ours).max() == pytest.approx(noisy / np.abs(noisy).max(), abs=1e-4)
        # Shorter than the clip: zeros behind it.
        assert not mixtures.noisy()[row, 1500:].any()
    for row in mixtures.rows("test"):
        fact = mixtures.facts[row]
        assert fact.noise.file.path.name == fact.speech.path.name
    assert np.abs(snrs_db(mixtures) - mixtures.snrs_db()).max() < 0.01
    assert mixtures.corpus.split_rule == "given, with validation taken out of train"
    assert any("pairs do not name their recordings of noise" in warning for warning in mixtures.corpus.warnings)


def rewritten(path: Path, samples: int, rate: int = 16_000) -> None:
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, samples), rate, subtype="FLOAT")


def test_pairs_that_do_not_match_are_left_out_by_name(record: Record, tmp_path: Path) -> None:
    pairs(record, count=60)
    noisy = tmp_path / "data" / "noisy_train"
    names = sorted(path.name for path in noisy.iterdir())
    rewritten(noisy / names[0], 1400)
    rewritten(noisy / names[1], 1500, rate=8_000)
    (noisy / names[2]).write_bytes((noisy.parent / "clean_train" / names[2]).read_bytes())
    corpus = open_enhancement(tmp_path / "data", mixing=SHORT).corpus
    reasons = {path.name: why for path, why in corpus.skipped}
    assert reasons[names[0]] == f"has 1500 samples, and its noisy partner {noisy / names[0]} 1400"
    assert reasons[names[1]] == f"has 16000 Hz, and its noisy partner {noisy / names[1]} 8000 Hz"
    assert reasons[names[2]] == f"is the same audio as its noisy partner {noisy / names[2]}"
    assert any(w.startswith("3 recordings or pairs cannot be used and are left out, such as") for w in corpus.warnings)


def test_many_that_cannot_be_mixed_are_refused(record: Record, tmp_path: Path) -> None:
    pairs(record)
    clean = sorted((tmp_path / "data" / "clean_train").iterdir())
    soundfile.write(clean[0], np.zeros(1500), 16_000)
    said = rf"--data: 1 of 12 recordings or pairs cannot be mixed, more than 5%: {clean[0]} is silent: it has no level"
    with pytest.raises(ValueError, match=said):
        open_enhancement(tmp_path / "data", mixing=SHORT)
    clean[0].unlink()
    with pytest.raises(ValueError, match=r"1 of 12 .*noisy_train/\S+ has no clean partner"):
        open_enhancement(tmp_path / "data", mixing=SHORT)


def test_silent_and_broken_noise_is_left_out(record: Record, tmp_path: Path) -> None:
    apart(record, speakers=20)
    soundfile.write(tmp_path / "data/noise/kind0/silent.wav", np.zeros(400), 16_000)
    (tmp_path / "data/noise/kind0/broken.wav").write_bytes(b"")
    corpus = open_enhancement(tmp_path / "data", mixing=SHORT).corpus
    assert {path.name for path, _ in corpus.skipped} == {"silent.wav", "broken.wav"}


def test_other_rates_are_resampled_and_low_ones_doubted(record: Record, tmp_path: Path) -> None:
    apart(record)
    path = record("clean/reader_00000_99.wav", samples=4800, rate=48_000)
    low = record("noise/kind0/99.wav", samples=800, rate=8_000)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    assert any(fact.speech.path == path for fact in mixtures.facts)
    assert np.abs(snrs_db(mixtures) - mixtures.snrs_db()).max() < 0.01
    said = f"1 recordings have less than 16000 Hz and nothing above, such as {low}: 8000 Hz"
    assert said in mixtures.corpus.warnings


def test_pauses_and_what_exceeds_the_bounds_are_left_out_with_a_word(record: Record, tmp_path: Path) -> None:
    apart(record, speakers=12)
    path = record("clean/reader_00000_99.wav", samples=3200)
    samples, _ = soundfile.read(path)
    samples[1600:] *= 1e-3
    soundfile.write(path, samples, 16_000)
    warnings = open_enhancement(tmp_path / "data", mixing=SHORT).corpus.warnings
    assert any(warning.endswith("of 50 clips of speech are pauses and are left out") for warning in warnings)
    bounded = Mixing(clip_seconds=0.1, views=2, most_mixtures=20, most_held_out=3)
    mixtures = open_enhancement(tmp_path / "data", mixing=bounded)
    assert len(mixtures.rows("train")) <= 20 and len(mixtures.rows("test")) == 9
    assert any(w.startswith("train: 10 of ") and w.endswith("drawn by the seed") for w in mixtures.corpus.warnings)


def test_training_is_partly_heard_in_rooms_and_test_is_not(record: Record, tmp_path: Path) -> None:
    apart(record)
    response = np.zeros(800)
    response[[100, 500]] = 0.5, 0.4
    target = tmp_path / "data/impulse_responses/room.wav"
    target.parent.mkdir()
    soundfile.write(target, response, 16_000, subtype="FLOAT")
    soundfile.write(target.with_name("silent.wav"), np.zeros(800), 16_000)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    assert (target.with_name("silent.wav"), "is silent: it has no level") in mixtures.corpus.skipped
    roomy = [row for row, fact in enumerate(mixtures.facts) if fact.room is not None]
    assert 0.2 < len(roomy) / len(mixtures.rows("train")) < 0.8
    assert {mixtures.facts[row].split for row in roomy} == {"train"}
    fact, heard = mixtures.facts[roomy[0]], mixtures.clean()[roomy[0]]
    start = round((fact.speech.start_seconds or 0) * 16_000)
    dry = soundfile.read(fact.speech.path)[0][start : start + 1600]
    wet = dry + 0.8 * np.concatenate([np.zeros(400), dry])[:1600]
    assert heard / np.abs(heard).max() == pytest.approx(wet / np.abs(wet).max(), abs=1e-3)


def test_a_listed_mixture_is_kept_where_its_noise_is_in_its_split(record: Record, tmp_path: Path) -> None:
    rows = ["clean,noise,snr,speaker,split"]
    for number in range(9):
        split = SPLITS[number % 3]
        record(f"c/{number}.wav", samples=1600)
        record(f"n/{split}.wav", seed=number % 3, samples=1600)
        rows.append(f"c/{number}.wav,n/{split}.wav,{number},{number},{split}")
    record("c/9.wav", samples=1600)
    (tmp_path / "data/manifest.csv").write_text("\n".join([*rows, "c/9.wav,n/test.wav,1,9,train"]))
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT, split="given")
    given = {mixtures.facts[row].speech.path.stem: mixtures.facts[row].snr_db for row in mixtures.rows("train", 0)}
    assert {name: snr for name, snr in given.items() if name != "9"} == {"0": 0.0, "3": 3.0, "6": 6.0}
    moved = "1 mixtures name noise that is in another split than their speech; they get other noise"
    assert moved in mixtures.corpus.warnings
    assert {mixtures.facts[row].noise.file.path.stem for row in mixtures.rows("train")} == {"train"}


def test_no_noise_for_a_split_and_no_folder_are_refused(record: Record, tmp_path: Path) -> None:
    apart(record, kinds=1)
    with pytest.raises(ValueError, match=r"--data: .*nowhere is not there"):
        open_enhancement(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"--task: .*data has no manifest.csv to pick a task from; leave --task out"):
        open_enhancement(tmp_path / "data", task="a")
    for path in sorted((tmp_path / "data/noise/kind0").iterdir())[1:]:
        path.unlink()
    with pytest.raises(ValueError, match="holds no recording of noise; 1 recordings in all, add some"):
        open_enhancement(tmp_path / "data", mixing=SHORT)


def test_samples_that_this_cache_lacks_are_not_made_by_a_worker(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(record)
    mixtures = open_enhancement(tmp_path / "data", mixing=SHORT)
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "another"))
    with pytest.raises(RuntimeError, match="the driver makes it"):
        mixtures.pairs()
