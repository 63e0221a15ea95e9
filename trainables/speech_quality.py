"""Measures of enhanced speech against the clean speech in it."""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from pystoi import stoi
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio, signal_distortion_ratio

from trainables import mean_opinion
from trainables.cache import cached_array, content_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Clips = NDArray[np.floating]
    Scores = NDArray[np.float64]

RATE_HZ = 16_000
SDR_FILTER = 512
# Ratios are kept within this many decibels, so that one clip cannot decide a mean: silence has the lowest.
MOST_DB = 60.0

# Counts every change that alters a score.
_VERSION = 1
_BATCH = 16


@final
@dataclass(frozen=True)
class Measure:
    """One figure of a clip, the higher the better; `missing` says why it cannot be computed here, if so."""

    title: str
    of: Callable[[Clips, Clips], Scores]
    missing: Callable[[], str] = lambda: ""


def quality(estimate: Clips, clean: Clips, names: Sequence[str] | None = None) -> dict[str, Scores]:
    """Scores [clips] by measure, of clips [clips, samples] at 16 kHz beside the clean ones; NaN where there is none.

    All measures that can be computed here, or the named ones. Kept in the cache by the samples of both. Other shapes,
    an unknown name or one that is missing are a `ValueError`.
    """
    if estimate.shape != clean.shape or estimate.ndim != 2:
        raise ValueError(f"quality: clips must be [clips, samples] alike, not {estimate.shape} and {clean.shape}")
    heard = _digest(estimate, clean)
    return {name: _kept(name, heard, estimate, clean) for name in (available() if names is None else names)}


def available() -> tuple[str, ...]:
    """The measures that can be computed here."""
    return tuple(name for name, measure in MEASURES.items() if not measure.missing())


def left_out() -> tuple[str, ...]:
    """A sentence for every measure that cannot be computed here."""
    return tuple(f"{m.title} is left out: {m.missing()}" for m in MEASURES.values() if m.missing())


def sdr_db(estimate: Clips, clean: Clips) -> Scores:
    """SDR of BSS Eval (Vincent et al. 2006): what a filter of 512 taps makes of the clean speech counts as signal.

    Computed after Scheibler, arXiv:2110.06440. Noise at an SNR of plain energies has about that SDR.
    """

    def measure(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        return signal_distortion_ratio(ours, theirs, filter_length=SDR_FILTER)

    return _batched(measure, estimate, clean)


def si_sdr_db(estimate: Clips, clean: Clips) -> Scores:
    """SI-SDR: the clean speech, scaled at best, against the rest (Le Roux et al., arXiv:1811.02508)."""
    return _batched(scale_invariant_signal_distortion_ratio, estimate, clean)


def estoi(estimate: Clips, clean: Clips) -> Scores:
    """Extended short-time objective intelligibility, up to 1 (Jensen and Taal 2016); NaN for under 0.4 s of speech."""
    return np.array([_estoi(ours, theirs) for ours, theirs in zip(estimate, clean, strict=True)])


def pesq_wb(estimate: Clips, clean: Clips) -> Scores:
    """Wide-band PESQ, 1 to 4.64 (ITU-T P.862.2); NaN for less than a quarter second."""
    import pesq

    returned = pesq.PesqError.RETURN_VALUES
    scores = [
        pesq.pesq(RATE_HZ, theirs, ours, "wb", on_error=returned) for ours, theirs in zip(estimate, clean, strict=True)
    ]
    return np.array([score if score > 0 else np.nan for score in scores])


def dnsmos(estimate: Clips, clean: Clips) -> Scores:
    """Overall quality by DNSMOS P.835, 1 to 5; the clean speech is not asked."""
    return mean_opinion.opinions(np.clip(estimate, -1, 1))["overall"]


def _no_dnsmos() -> str:
    return "" if mean_opinion.model_path() else "pip install 'potstill[dnsmos]' brings its network"


def _no_pesq() -> str:
    return "" if importlib.util.find_spec("pesq") else "pip install 'potstill[pesq]' builds it, with a C compiler"


MEASURES: Mapping[str, Measure] = {
    "sdr_db": Measure("SDR (dB)", sdr_db),
    "si_sdr_db": Measure("SI-SDR (dB)", si_sdr_db),
    "estoi": Measure("eSTOI", estoi),
    "dnsmos": Measure("DNSMOS overall", dnsmos, _no_dnsmos),
    "pesq": Measure("PESQ-WB", pesq_wb, _no_pesq),
}


def _kept(name: str, heard: str, estimate: Clips, clean: Clips) -> Scores:
    measure = MEASURES.get(name)
    if measure is None:
        raise ValueError(f"quality: {name!r} is unknown; use {', '.join(MEASURES)}")
    if measure.missing():
        raise ValueError(f"quality: {name} cannot be computed: {measure.missing()}")
    key = content_key("quality", _VERSION, name, heard)
    return np.asarray(cached_array(key, lambda: measure.of(estimate, clean)))


def _digest(estimate: Clips, clean: Clips) -> str:
    digest = hashlib.sha256(str(estimate.shape).encode())
    for clip in (*estimate, *clean):
        digest.update(np.ascontiguousarray(clip, np.float32).data)
    return digest.hexdigest()


def _batched(measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], estimate: Clips, clean: Clips) -> Scores:
    starts = range(0, len(estimate), _BATCH)
    pairs = ((_double(estimate[start : start + _BATCH]), _double(clean[start : start + _BATCH])) for start in starts)
    ratios = torch.cat([measure(ours, theirs) for ours, theirs in pairs]).numpy()
    silent = ~np.any(estimate, axis=1)
    return np.where(silent, -MOST_DB, np.clip(ratios, -MOST_DB, MOST_DB))


def _double(clips: Clips) -> torch.Tensor:
    return torch.from_numpy(np.asarray(clips, np.float64))


def _estoi(ours: Clips, theirs: Clips) -> float:
    with warnings.catch_warnings():
        # Its way to say that too few frames are left without the silent ones.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(stoi(theirs, ours, RATE_HZ, extended=True))
        except RuntimeWarning:
            return float("nan")
