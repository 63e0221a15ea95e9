"""Tables of enhanced speech: means and intervals by hand, paired differences, slow measures on a few clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables import quality_rows, speech_quality
from trainables.quality_rows import FEW_CLIPS, FLOAT, INT8, NOISY, Heard, estimated, few_rows, heard

CLIPS = 60


@pytest.fixture
def judged() -> Heard:
    random = np.random.default_rng(0)
    difficulty = random.normal(0, 3, CLIPS)
    scores = {
        NOISY: {"si_sdr_db": difficulty},
        FLOAT: {"si_sdr_db": difficulty + 6.0},
        INT8: {"si_sdr_db": difficulty + 5.5 + random.normal(0, 0.1, CLIPS)},
    }
    return Heard(scores, np.repeat([-5.0, 0.0, 5.0], CLIPS // 3))


def test_differences_are_taken_clip_by_clip(judged: Heard) -> None:
    alone, gain = judged.estimate("si_sdr_db", 0.0, INT8), judged.estimate("si_sdr_db", 0.0, INT8, less=NOISY)
    assert gain.mean == pytest.approx(5.5, abs=0.1) and gain.clips == CLIPS // 3
    assert alone.low is not None and alone.high is not None and gain.low is not None and gain.high is not None
    # Clips differ among each other far more than the gain does.
    assert (gain.high - gain.low) < 0.1 * (alone.high - alone.low)
    assert gain.low < gain.mean < gain.high


def test_a_table_for_each_snr(judged: Heard) -> None:
    tables = judged.rows()[:3]
    assert [row["title"] for row in tables] == [
        f"Test at {snr} dB SNR: means with 95% intervals over clips" for snr in ("-5", "0", "5")
    ]
    assert tables[0]["columns"] == ["signal", "SI-SDR (dB), 20 clips"]
    lines = {line[0]: line[1] for line in tables[1]["rows"]}
    assert list(lines) == [NOISY, FLOAT, INT8, f"{FLOAT} less {NOISY}", f"{INT8} less {NOISY}", f"{INT8} less {FLOAT}"]
    assert lines[f"{FLOAT} less {NOISY}"] == "6.00 (6.00 to 6.00)"
    assert lines[INT8] == judged.estimate("si_sdr_db", 0.0, INT8).said()


def test_figures_by_name(judged: Heard) -> None:
    at_each = {f"si_sdr_db_at_{snr}db" for snr in ("-5", "0", "5")}
    assert set(judged.figures(INT8)) == {"si_sdr_db", *at_each}
    gains = judged.figures(FLOAT, less=NOISY)
    assert gains["si_sdr_improvement_db"] == pytest.approx(6.0)
    assert gains["si_sdr_improvement_db_at_-5db"] == pytest.approx(6.0) and len(gains) == 4


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    found = [estimated(random.normal(3.0, 1.0, 40)) for _ in range(100)]
    covered = sum(one.low <= 3.0 <= one.high for one in found if one.low is not None and one.high is not None)
    assert 86 <= covered <= 99


def test_too_few_values_have_no_interval() -> None:
    assert estimated(np.array([np.nan, 2.0])).said() == "2.00"
    assert estimated(np.array([np.nan])).said() == "-"


@given(st.lists(st.sampled_from([-5.0, 0.0, 5.0]), min_size=1, max_size=80))
def test_a_few_clips_of_every_snr(snrs: list[float]) -> None:
    snrs_db = np.array(snrs)
    rows = few_rows(snrs_db)
    assert (np.diff(rows) > 0).all()
    for snr_db in np.unique(snrs_db):
        assert (snrs_db[rows] == snr_db).sum() == min(FEW_CLIPS, (snrs_db == snr_db).sum())


def test_slow_measures_hear_a_few_clips_only(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    monkeypatch.setattr(quality_rows, "SLOW", frozenset({"si_sdr_db"}))
    random = np.random.default_rng(0)
    clean = random.normal(0, 0.1, (30, 2000)).astype(np.float32)
    noisy = (clean + random.normal(0, 0.1, clean.shape)).astype(np.float32)
    snrs_db = np.repeat([0.0, 5.0], 15)
    found = heard(clean, snrs_db, {NOISY: noisy}, ["si_sdr_db"])
    scores = found.scores[NOISY]["si_sdr_db"]
    assert np.flatnonzero(np.isfinite(scores)).tolist() == few_rows(snrs_db).tolist()
    assert scores[few_rows(snrs_db)] == pytest.approx(speech_quality.si_sdr_db(noisy, clean)[few_rows(snrs_db)])
    assert found.rows()[0]["columns"] == ["signal", f"SI-SDR (dB), {FEW_CLIPS} clips"]


def test_what_is_not_measured_is_said(judged: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    last = judged.rows()[-1]
    assert last["title"] == "Not measured" and len(last["rows"]) == 2
