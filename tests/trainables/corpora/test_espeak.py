"""The synthesised corpus: what it holds, that it repeats, and what it refuses."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.cache import cache_folder
from trainables.corpora.acoustics import KINDS, RATE_HZ, Surroundings, microphone, mix
from trainables.corpora.confusables import near_miss
from trainables.corpora.espeak import CONFUSABLE, NOISE, SPEECH, Settings, synthesised_folder
from trainables.corpora.espeak_voices import ACCENTS, Utterance, draw_voices, say, spell
from trainables.corpora.leaks import find_leaks
from trainables.corpora.manifest import read_manifest
from trainables.corpora.phrases import other_phrases, sound_alikes
from trainables.corpora.wakeword_task import readable_clips

SMALL = Settings(train=100, validation=50, test=50)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".wav", ".csv"})
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_same_seed_gives_the_same_bits_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / name))
        folder = synthesised_folder("computer", seed, SMALL)
        assert cache_folder() in folder.parents
        digests.append(digest(folder))
    assert digests[0] == digests[1] != digests[2]


def test_folder_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = synthesised_folder("computer", 0, SMALL)
    monkeypatch.setattr("trainables.corpora.espeak._synthesise", lambda *_: pytest.fail("made again"))
    assert synthesised_folder("computer", 0, SMALL) == folder
    with pytest.raises(pytest.fail.Exception):
        synthesised_folder("computer", 0, replace(SMALL, train=101))


def test_clips_are_what_the_settings_say() -> None:
    folder = synthesised_folder("hey potstill", 0, SMALL)
    found = rows(folder)
    assert Counter(row["split"] for row in found) == {"train": 100, "validation": 50, "test": 50}
    labels = Counter(row["label"] for row in found if row["split"] == "train")
    assert labels == {"hey potstill": 20, CONFUSABLE: 12, SPEECH: 46, NOISE: 22}
    assert {row["snr_db"] for row in found} == {"clean", "20", "15", "10", "5", "0"}
    assert {row["noise"] for row in found} == {"", *KINDS}
    for row in found:
        samples, rate = soundfile.read(folder / row["path"], dtype="int16")
        assert (samples.shape, rate) == ((16_000,), 16_000)
        assert np.abs(samples).max() > 500
        assert re.fullmatch(rf"[^/]+/{row['speaker']}_nohash_\d+\.wav", row["path"])


def test_splits_share_no_voice_and_no_audio() -> None:
    folder = synthesised_folder("computer", 0, Settings(train=400, validation=120, test=120))
    clips, unreadable = readable_clips(folder, read_manifest(folder))
    assert (find_leaks(clips), unreadable) == ((), ())
    voices = {clip.speaker for clip in clips if clip.source_label != NOISE}
    assert len(voices) == 96
    for split in ("train", "validation", "test"):
        accents = {row["accent"] for row in rows(folder) if row["split"] == split}
        assert accents - {""} == set(ACCENTS)


def test_defaults_hold_enough_to_judge_by() -> None:
    settings = Settings()
    assert settings.train + settings.validation + settings.test == pytest.approx(4_000, abs=200)
    assert min(settings.validation, settings.test) * settings.shares[0] >= 120
    assert sum(settings.shares) == pytest.approx(1)


@pytest.mark.parametrize("word", ["", "two  spaces", " x", "R2D2", "a/b", "[[k]]", "x" * 31, "hey\n", "電腦", "a_b"])
def test_words_that_are_none_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"--word: must be at most 30 Latin letters, with single spaces.*not "):
        synthesised_folder(word, 0, SMALL)


def test_word_that_takes_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--word: .* must be said within 1 s, but takes \d\.\d s in haste"):
        synthesised_folder("uncharacteristically honorific", 0, SMALL)
    assert list((cache_folder() / "folders").iterdir()) == []


def test_voices_differ_and_speak_alike_when_asked_again() -> None:
    voices = draw_voices(np.random.default_rng(0))
    assert len(voices) >= 40
    assert len({voice.variant for voice in voices}) == len(voices)
    utterances = [Utterance(voice, "computer", voice.rate) for voice in voices]
    first, second = say(utterances), say(utterances)
    sounds = {samples.tobytes() for samples in first.samples}
    assert len(sounds) == len(voices)
    assert all(np.array_equal(a, b) for a, b in zip(first.samples, second.samples, strict=True))
    seconds = np.array([len(samples) for samples in first.samples]) / first.sample_rate_hz
    assert 0.3 < seconds.min() < seconds.max() < 1.2


def test_faster_and_higher_are_what_they_say() -> None:
    voice = draw_voices(np.random.default_rng(0))[1]
    slow, fast = say([Utterance(voice, "computer", 120), Utterance(voice, "computer", 240)]).samples
    assert len(fast) < 0.7 * len(slow)


def test_phonemes_in_brackets_sound_like_the_word_they_spell() -> None:
    voices = draw_voices(np.random.default_rng(0))[::13]
    for voice, spelling in zip(voices, spell("computer", voices), strict=True):
        assert spelling.startswith("k|@|m|p|j|'u:|t")
        word, phonemes, other = say(
            [Utterance(voice, text) for text in ("computer", f"[[{spelling}]]", "garden")]
        ).samples
        # Breath is drawn by the engine's own generator: loudness over time is compared, not samples.
        assert envelope(word) == pytest.approx(envelope(phonemes), abs=0.1)
        assert envelope(word) != pytest.approx(envelope(other), abs=0.1)


def envelope(samples: np.ndarray) -> list[float]:
    parts = [float(np.sqrt(np.mean(np.square(part, dtype=float)))) for part in np.array_split(samples, 12)]
    return [part / max(parts) for part in parts]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["k|@|m|p|j|'u:|t|3", "a#|l|'E|k|s|@", "h|'eI p|'0|t|s|t|I|l", "g|'oU"]))
def test_near_misses_differ_from_every_accents_word(seed: int, spelling: str) -> None:
    others = [spelling, spelling.replace("'E", "'eI"), spelling.replace("|3", "|a#")]
    found = near_miss(spelling, others, np.random.default_rng(seed))
    assert re.fullmatch(r"\[\[[^\[\]]+\]\]", found)
    bare = re.sub(r"['\[\]]", "", found)
    assert bare not in {re.sub("'", "", other).replace(" ", "|") for other in others}
    assert found == near_miss(spelling, others, np.random.default_rng(seed))


def test_words_without_near_misses_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--word: too short to have near misses; its phonemes are '@'"):
        near_miss("@", [], np.random.default_rng(0))


def test_phrases_do_not_hold_the_word() -> None:
    assert len(other_phrases("computer")) > 100
    assert not any("turn" in phrase for phrase in other_phrases("turn"))
    assert len(other_phrases("turn")) < len(other_phrases("computer"))
    for word in ("computer", "alexa", "jarvis"):
        assert sound_alikes(word)
        assert not any(re.search(rf"\b{word}\b", text) for text in sound_alikes(word))
    assert sound_alikes("zebra") == ()


@settings(max_examples=30, deadline=None)
@given(st.floats(-10, 40), st.floats(0.01, 10))
def test_mixture_has_the_snr_it_names(snr_db: float, level: float) -> None:
    random = np.random.default_rng(0)
    speech = np.zeros(16_000, np.float32)
    active = slice(4_000, 9_000)
    speech[active] = random.normal(0, 0.2, 5_000)
    noise = (level * random.standard_normal(16_000)).astype(np.float32)
    added = mix(speech, noise, active, snr_db) - speech
    ratio = np.mean(np.square(speech[active], dtype=float)) / np.mean(np.square(added, dtype=float))
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.05)


@pytest.fixture(scope="module")
def around() -> Surroundings:
    random = np.random.default_rng(0)
    return Surroundings(random, [random.normal(0, 0.1, 9_000).astype(np.float32) for _ in range(8)])


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_of_unit_power_and_never_twice_the_same(around: Surroundings, kind: str) -> None:
    random = np.random.default_rng(1)
    one, two = around.noise(kind, 16_000, random), around.noise(kind, 16_000, random)
    assert np.mean(one**2) == pytest.approx(1, rel=1e-3)
    assert not np.array_equal(one, two)


def band_share(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())


def test_noises_have_their_spectra(around: Surroundings) -> None:
    random = np.random.default_rng(1)
    long = {kind: around.noise(kind, 8 * RATE_HZ, random) for kind in KINDS}
    assert band_share(long["white"], 0, 4_000) == pytest.approx(0.5, abs=0.02)
    octaves = [band_share(long["pink"], low, 2 * low) for low in (250, 500, 1_000, 2_000, 4_000)]
    assert np.ptp(octaves) < 0.3 * np.mean(octaves)
    assert band_share(long["hum"], 0, 1_000) > 0.8
    assert np.mean(long["clatter"] ** 4) > 10


def test_room_keeps_the_direct_sound_and_adds_a_tail(around: Surroundings) -> None:
    click = np.zeros(8_000, np.float32)
    click[100] = 1
    heard = around.in_room(click, np.random.default_rng(0))
    assert heard[100] == pytest.approx(1, abs=1e-4)
    assert np.abs(heard[:100]).max() < 1e-4
    assert np.sum(heard[101:] ** 2) > 0.001
    with pytest.raises(ValueError, match="at most 16384 samples, not 20000"):
        around.in_room(np.zeros(20_000, np.float32), np.random.default_rng(0))


def test_microphone_sets_the_peak() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        peak_db = 20 * np.log10(np.abs(microphone(random.standard_normal(4_000).astype(np.float32), random)).max())
        assert -30.1 < peak_db < -0.9
