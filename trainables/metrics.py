"""Metrics of a score against a binary target, of a choice among several classes, and of values against ratings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr
from sklearn.metrics import (
    confusion_matrix,
    det_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PAUC_MAX_FPR = 0.1
# Between the lowest and the highest score, about as many as INT8 outputs can tell apart.
THRESHOLDS = 256
CALIBRATION_BINS = 10
DET_POINTS = 240


@dataclass(frozen=True)
class Detection:
    """Figures of one split; the first seven hold at `threshold`, the last three need none.

    `pauc` is the area under the ROC up to a false positive rate of 0.1, standardised so that chance is 0.5.
    """

    threshold: float
    f1: float
    precision: float
    recall: float
    miss_rate: float
    false_positive_rate: float
    accuracy: float
    auc: float
    pauc: float
    eer: float

    def as_dict(self) -> dict[str, float]:
        """Plain floats by name."""
        return asdict(self)


def best_f1_threshold(target: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """The threshold with the highest F1 for `score >= threshold` on clips such as these; both classes must occur.

    Each class's scores are smoothed by a Gaussian kernel of Silverman's bandwidth (as ROC curves are: Zou, Hall and
    Shapiro 1997): of a few clips themselves, the best threshold is wherever the one lowest positive happens to lie.
    """
    low, high = float(score.min()), float(score.max())
    cuts = np.linspace(low, high, THRESHOLDS)
    hits, alarms = (_expected_over(cuts, score[part].astype(np.float64)) for part in (target, ~target))
    halves = hits / (hits + alarms + target.sum())
    # Far apart classes leave a plateau between them.
    return float(cuts[halves == halves.max()].mean())


def _expected_over(cuts: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many of the smoothed scores reach each cut."""
    quartiles = np.subtract(*np.percentile(scores, [75, 25])) / 1.34
    spread = min(scores.std(), quartiles) if quartiles else scores.std()
    # A class of one score, or of equal ones, is a step.
    width = max(0.9 * spread * len(scores) ** -0.2, np.spacing(np.abs(cuts).max()))
    return np.array([ndtr((scores - cut) / width).sum() for cut in cuts])


def detection(target: NDArray[np.bool_], score: NDArray[np.floating], threshold: float) -> Detection:
    """All figures of a split for `score >= threshold`; both classes must occur."""
    fired = score >= threshold
    hits, alarms = int((fired & target).sum()), int((fired & ~target).sum())
    positives, negatives = int(target.sum()), int((~target).sum())
    return Detection(
        threshold=threshold,
        f1=_ratio(2 * hits, 2 * hits + alarms + positives - hits),
        precision=_ratio(hits, hits + alarms),
        recall=_ratio(hits, positives),
        miss_rate=1 - _ratio(hits, positives),
        false_positive_rate=_ratio(alarms, negatives),
        accuracy=float((fired == target).mean()),
        auc=float(roc_auc_score(target, score)),
        pauc=float(roc_auc_score(target, score, max_fpr=PAUC_MAX_FPR)),
        eer=equal_error_rate(target, score),
    )


def equal_error_rate(target: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Where the miss rate equals the false positive rate, interpolated along the ROC."""
    alarms, hits, _ = roc_curve(target, score, drop_intermediate=False)
    gap = alarms + hits - 1
    return float(np.interp(0.0, gap, alarms))


def roc(target: NDArray[np.bool_], score: NDArray[np.floating]) -> tuple[list[float], list[float]]:
    """Corners of the ROC: false positive rates and recalls, rounded to four digits for a plot."""
    alarms, hits, _ = roc_curve(target, score)
    return np.round(alarms, 4).tolist(), np.round(hits, 4).tolist()


def det(target: NDArray[np.bool_], score: NDArray[np.floating]) -> tuple[list[float], list[float]]:
    """Corners of the detection error tradeoff: false positive rates and miss rates, rounded to four digits.

    At most `DET_POINTS` of them, evenly chosen.
    """
    alarms, misses, _ = det_curve(target, score, drop_intermediate=True)
    kept = np.unique(np.linspace(0, len(alarms) - 1, DET_POINTS).round().astype(int))
    return np.round(alarms[kept], 4).tolist(), np.round(misses[kept], 4).tolist()


@dataclass(frozen=True)
class Reliability:
    """What was said beside what was so: both means, and the clips, of each of ten equal bins that holds any.

    `error` is the mean distance of the two means, weighted by clips: of probabilities the expected calibration error
    (Naeini, Cooper and Hauskrecht 2015).
    """

    said: tuple[float, ...]
    found: tuple[float, ...]
    clips: tuple[int, ...]
    error: float


def reliability(
    said: NDArray[np.floating], found: NDArray[np.generic], low: float = 0.0, high: float = 1.0
) -> Reliability:
    """Bins of `said` [clips] from `low` to `high`; `found` [clips] are values, or whether what was said is so."""
    inner = np.linspace(low, high, CALIBRATION_BINS + 1)[1:-1]
    bins = np.searchsorted(inner, said.astype(np.float64))
    clips = np.bincount(bins, minlength=CALIBRATION_BINS)
    sums = [np.bincount(bins, values.astype(np.float64), CALIBRATION_BINS) for values in (said, found)]
    held = clips > 0
    said_mean, found_mean = ((total[held] / clips[held]).tolist() for total in sums)
    error = float(np.abs(sums[0] - sums[1]).sum() / len(said))
    return Reliability(tuple(said_mean), tuple(found_mean), tuple(clips[held].tolist()), error)


def confusion(target: NDArray[np.bool_], score: NDArray[np.floating], threshold: float) -> list[list[int]]:
    """Counts [true class][decided class], negative first."""
    fired = score >= threshold
    return [
        [int(((target == truth) & (fired == decided)).sum()) for decided in (False, True)] for truth in (False, True)
    ]


@dataclass(frozen=True)
class Classification:
    """Figures of one split; `uar` is the unweighted mean of the classes' recalls, chance being one over their number.

    `classes` holds (precision, recall, F1, clips) of each class.
    """

    accuracy: float
    uar: float
    macro_f1: float
    classes: tuple[tuple[float, float, float, int], ...]

    def as_dict(self) -> dict[str, float]:
        """The three figures by name."""
        return {"accuracy": self.accuracy, "uar": self.uar, "macro_f1": self.macro_f1}


def classification(target: NDArray[np.int64], decided: NDArray[np.int64], classes: int) -> Classification:
    """All figures of a split; a class without clips counts in no mean, one never decided for has precision 0."""
    precision, recall, f1, clips = precision_recall_fscore_support(
        target, decided, labels=range(classes), zero_division=0.0
    )
    present = clips > 0
    return Classification(
        accuracy=float((target == decided).mean()),
        uar=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        classes=tuple(zip(precision.tolist(), recall.tolist(), f1.tolist(), clips.tolist(), strict=True)),
    )


def choice_counts(target: NDArray[np.int64], decided: NDArray[np.int64], classes: int) -> list[list[int]]:
    """Counts [true class][decided class]."""
    counts: list[list[int]] = confusion_matrix(target, decided, labels=range(classes)).tolist()
    return counts


@dataclass(frozen=True)
class Agreement:
    """How values agree with ratings: `concordance` and mean absolute error, one figure for each value."""

    ccc: tuple[float, ...]
    mae: tuple[float, ...]

    @property
    def mean_ccc(self) -> float:
        """Mean of the concordances."""
        return sum(self.ccc) / len(self.ccc)

    def as_dict(self, names: Sequence[str]) -> dict[str, float]:
        """`ccc`, the mean, then `ccc_` and `mae_` of each value, whose `names` these are."""
        concordances = {f"ccc_{name}": figure for name, figure in zip(names, self.ccc, strict=True)}
        errors = {f"mae_{name}": figure for name, figure in zip(names, self.mae, strict=True)}
        return {"ccc": self.mean_ccc, **concordances, **errors}


def agreement(ratings: NDArray[np.floating], values: NDArray[np.floating]) -> Agreement:
    """Both are [clips, values]."""
    columns = list(zip(ratings.astype(np.float64).T, values.astype(np.float64).T, strict=True))
    return Agreement(
        ccc=tuple(concordance(*column) for column in columns),
        mae=tuple(float(np.abs(wanted - found).mean()) for wanted, found in columns),
    )


def concordance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Lin's concordance correlation coefficient: Pearson's r, less what differs in mean and spread.

    2 cov / (var + var + (difference of means)^2), of moments over n (Lin, Biometrics 45, 1989); 0 where both are
    constant.
    """
    apart = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    together = ((first - first.mean()) * (second - second.mean())).mean()
    return float(2 * together / apart) if apart else 0.0


def correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Pearson's r of two scores of the same clips; 0 where one of them is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first.astype(np.float64), second.astype(np.float64))[0, 1])


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
