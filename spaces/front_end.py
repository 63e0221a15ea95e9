"""Settings of the front end that runs on the device: log-mels, TFLM's own features, log-power spectra, or waveforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["log_mel", "waveform", "log_power", "micro"]
# One INT8 step of ESPHome's runtime, in the unit that its models are trained in: it divides TFLM's integers by
# 666 / 256, training by 25.6. The lowest of its 256 codes is silence.
ESPHOME_STEP = 666 / 256 / 25.6
ESPHOME_CODES = 256
# With silence 40 steps below 0 and 64 steps to 1, a step of a feature is 1/64, exactly, and features lie about 0.
_MICRO: dict[str, float] = {
    "sample_rate_hz": 16_000,
    "window_samples": 480,
    "hop_samples": 160,
    "n_fft": 512,
    "mels": 40,
    "low_hz": 125.0,
    "high_hz": 7_500.0,
    "log_mean": 40 * ESPHOME_STEP,
    "log_std": 64 * ESPHOME_STEP,
}


@dataclass(frozen=True)
class FrontEnd:
    """Features of one clip, `frames` x `values_per_frame`: log-mels of each window that lies wholly inside.

    Of the `kind` waveform a frame is its `hop_samples` samples, compressed like telephone speech; settings of windows,
    spectra and mels are then without meaning, and the window is the hop.

    Of the kind log_power a frame is the logarithm of the power in each of its n_fft / 2 + 1 bins, and the device also
    turns masked spectra back into sound: square roots of Hann windows of `n_fft` samples, one half a window after the
    other. Its FFT takes factors 2, 3 and 5; settings of mels are without meaning.

    Of the kind micro it is TensorFlow Lite Micro's audio front end as ESPHome runs it: 40 features of 30 ms every
    10 ms, noise suppressed, gain controlled, on a logarithmic scale. It remembers: what came before changes a frame.
    Its settings are all given, see `micro_front_end`; floor and power of the spectrum are without meaning.

    Otherwise the window is zero-padded to `n_fft`, a power of two, because the chip's FFT takes no other.
    `decision_seconds` is how often the device decides: only the frames that are new since then are computed again.
    `log_mean` and `log_std` are constants, not statistics of a corpus, so that features depend on nothing but the
    audio. The mel triangles sum magnitudes where `spectrum_power` is 1, powers where it is 2.
    """

    sample_rate_hz: int = 16_000
    clip_seconds: float = 1.0
    window_samples: int = 400
    hop_samples: int = 160
    n_fft: int = 512
    mels: int = 40
    low_hz: float = 60.0
    high_hz: float = 7_600.0
    log_floor: float = 1e-6
    log_mean: float = -5.0
    log_std: float = 4.0
    decision_seconds: float = 0.1
    spectrum_power: int = 2
    kind: Kind = "log_mel"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"front end: kind={self.kind!r} must be {' or '.join(get_args(Kind))}")
        if self.kind == "waveform" and self.window_samples != self.hop_samples:
            raise ValueError(
                f"front end: of a waveform, window_samples={self.window_samples} must be hop_samples={self.hop_samples}"
            )
        if self.kind == "micro":
            self._check_micro()
        self._check_transform()
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"front end: {self.low_hz}-{self.high_hz} Hz must lie within 0-{self.sample_rate_hz / 2:g} Hz"
            )
        if self.spectrum_power not in (1, 2):
            raise ValueError(f"front end: spectrum_power={self.spectrum_power} must be 1 (magnitudes) or 2 (powers)")
        if self.frames < 1:
            raise ValueError(
                f"front end: a clip of {self.clip_seconds} s holds no window of {self.window_samples} samples"
            )

    def _check_micro(self) -> None:
        for name, only in _MICRO.items():
            if getattr(self, name) != only:
                raise ValueError(f"front end: of the kind micro, {name}={getattr(self, name)} must be {only}")

    def _check_transform(self) -> None:
        if self.kind == "log_power":
            if not self.window_samples == self.n_fft == 2 * self.hop_samples or 30**self.n_fft % self.n_fft:
                raise ValueError(
                    f"front end: of log-power spectra, n_fft={self.n_fft} must be "
                    f"window_samples={self.window_samples}, twice hop_samples={self.hop_samples}, and have no factors "
                    "but 2, 3 and 5"
                )
        elif self.n_fft & (self.n_fft - 1) or self.n_fft < self.window_samples:
            raise ValueError(
                f"front end: n_fft={self.n_fft} must be a power of two of at least window_samples={self.window_samples}"
            )

    @property
    def clip_samples(self) -> int:
        """Samples in one clip."""
        return round(self.clip_seconds * self.sample_rate_hz)

    @property
    def frames(self) -> int:
        """Windows that fit in one clip."""
        return 1 + (self.clip_samples - self.window_samples) // self.hop_samples

    @property
    def values_per_frame(self) -> int:
        """Numbers in one frame."""
        return {"waveform": self.hop_samples, "log_power": self.n_fft // 2 + 1}.get(self.kind, self.mels)

    @property
    def hop_ms(self) -> float:
        """Milliseconds from one frame to the next."""
        return 1000 * self.hop_samples / self.sample_rate_hz

    @property
    def window_ms(self) -> float:
        """Milliseconds that a frame hears: what is made of spectra comes out that much later, apart from computing."""
        return 1000 * self.window_samples / self.sample_rate_hz

    @property
    def new_frames_per_decision(self) -> int:
        """Frames to compute between two decisions, at most the clip's."""
        return min(self.frames, max(1, round(self.decision_seconds * self.sample_rate_hz / self.hop_samples)))

    @property
    def int8_range(self) -> tuple[float, float] | None:
        """What the lowest and the highest INT8 code of a feature mean, where others' firmware settles it.

        Of the kind micro the codes are then those that ESPHome feeds; of others calibration decides.
        """
        if self.kind != "micro":
            return None
        low, high = ((code * ESPHOME_STEP - self.log_mean) / self.log_std for code in (0, ESPHOME_CODES - 1))
        return low, high


def micro_front_end(clip_seconds: float = 1.0, decision_seconds: float = 0.1) -> FrontEnd:
    """The one front end of the kind micro, for clips of this length."""
    settings: dict[str, Any] = dict(_MICRO)
    return FrontEnd(**settings, clip_seconds=clip_seconds, decision_seconds=decision_seconds, kind="micro")
