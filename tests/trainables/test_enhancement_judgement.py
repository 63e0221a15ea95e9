"""How the enhancement recipe judges: masks whose worth is known, tables by SNR, sounds of a clip at each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from spaces.speech_enhancement import FRONT_END
from trainables import quality_rows
from trainables.corpora.enhancement_task import open_enhancement
from trainables.mixture_features import clean_targets
from trainables.quality_rows import FLOAT, INT8, NOISY, TEACHER
from trainables.recipe import Judgement, Material
from trainables.recipes.speech_enhancement import MIXING, RECIPE, SCORE
from trainables.spectra import spectra


@dataclasses.dataclass
class Oracle:
    """Stands for a teacher: masks that know the speech."""

    known: np.ndarray

    def masks(self, mixtures: Any, front_end: Any) -> np.ndarray:
        return self.known


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    folder = tmp_path_factory.mktemp("mixtures")
    random = np.random.default_rng(0)
    seconds = np.arange(MIXING.samples) / 16_000
    for number in range(4):
        for split in ("train", "validation", "test"):
            for kind, sound in (
                (f"clean/{split}/{split}{number}", 0.3 * np.sin(2 * np.pi * (200 + 50 * number) * seconds)),
                (f"noise/{split}/rain", random.normal(0, 0.1, MIXING.samples)),
            ):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / kind / f"{number}.wav", sound, 16_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POTSTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(quality_rows, "available", lambda: ("sdr_db", "si_sdr_db", "estoi"))
        mixtures = open_enhancement(folder, split="given", mixing=dataclasses.replace(MIXING, views=1))
        magnitudes = spectra(torch.from_numpy(np.array(mixtures.noisy())), FRONT_END).abs().numpy()
        known = np.clip(clean_targets(mixtures, FRONT_END) / np.maximum(magnitudes, 1e-9), 0, 1)
        teacher: Any = Oracle(known)
        material = Material(mixtures.corpus, np.zeros((0, 0), np.float32), {}, {}, mixtures=mixtures, enhancer=teacher)
        rows = RECIPE.judged_rows(material)
        # The float student is as good as the teacher; the INT8 one lets everything pass.
        return RECIPE.judge(material, np.ones_like(known[rows]), known[rows])


def test_what_lets_everything_pass_gains_nothing_and_what_knows_the_speech_much(judged: Judgement) -> None:
    assert judged.score_int8 == pytest.approx(0.0, abs=0.01)
    assert judged.score_float > 10
    assert judged.test[SCORE] == pytest.approx(0.0, abs=0.01)
    assert judged.test["retention"] == pytest.approx(0.0, abs=0.01)
    assert {f"{SCORE}_at_{snr}db" for snr in ("-5", "0", "5")} < judged.test.keys()
    assert judged.validation["mask_int8_error"] > 0.1
    assert all(np.isfinite(value) for value in (*judged.validation.values(), *judged.test.values()))


def test_every_snr_has_its_table_of_signals_and_differences(judged: Judgement) -> None:
    tables = [row for row in judged.rows if row["type"] == "table" and row["title"].startswith("Test at")]
    assert [row["title"].split(":")[0] for row in tables] == [f"Test at {snr} dB SNR" for snr in ("-5", "0", "5")]
    column = tables[0]["columns"].index("SI-SDR (dB), 4 clips")
    cells = {line[0]: line[column] for line in tables[0]["rows"]}
    assert list(cells)[:4] == [NOISY, TEACHER, FLOAT, INT8]
    assert float(cells[NOISY].split()[0]) == pytest.approx(-5.0, abs=0.2)
    assert cells[NOISY] == cells[INT8] and cells[TEACHER] == cells[FLOAT]
    assert f"{INT8} less {FLOAT}" in cells


def test_sounds_of_one_clip_at_each_snr(judged: Judgement, tmp_path: Path) -> None:
    sounds = [row for row in judged.rows if row["type"] == "audio"]
    assert [row["title"] for row in sounds] == [f"Test clip at {snr} dB: rain, test0" for snr in ("-5", "0", "5")]
    names = [NOISY, TEACHER, FLOAT, INT8, "clean"]
    assert [[clip["name"] for clip in row["clips"]] for row in sounds] == [names] * 3
    assert {clip["file"] for row in sounds for clip in row["clips"]} == set(judged.files)
    for name, content in judged.files.items():
        (tmp_path / name).write_bytes(content)
        samples, rate = soundfile.read(tmp_path / name)
        assert rate == 16_000 and np.abs(samples).max() > 0.01
