"""The audible controls of synthesised music, and how valence and arousal follow from them."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import final

import numpy as np

# From dark to bright, in the order in which listeners find them happier (Temperley and Tan, Music Perception 30, 2013).
MODES = {
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
}
RATER_NOISE = 0.08

_MIDDLE_BPM, _BPM_RATIO = 104.0, 1.75
_MIDDLE_TONIC, _TONIC_SEMITONES = 62, 10
_MIDDLE_DBFS, _DB = -24.0, 9.0
_DB_PER_OCTAVE, _DB_PER_OCTAVE_SPAN = -7.5, 4.5


@final
@dataclass(frozen=True)
class Controls:
    """What a piece is played with, each from -1 to 1.

    `mode` from Phrygian to major, `tempo` 59-182 beats a minute, `register` the tonic from C3 to C#5 or so, `loudness`
    -33 to -15 dBFS, `brightness` partials that fall by 12 to 3 dB an octave, `articulation` from legato to staccato.
    """

    mode: float
    tempo: float
    register: float
    loudness: float
    brightness: float
    articulation: float

    @property
    def scale(self) -> tuple[int, ...]:
        """Semitones of the mode's seven degrees above its tonic."""
        return list(MODES.values())[min(int((self.mode + 1) / 2 * len(MODES)), len(MODES) - 1)]

    @property
    def beats_per_minute(self) -> float:
        """Tempo."""
        return float(_MIDDLE_BPM * _BPM_RATIO**self.tempo)

    @property
    def tonic(self) -> int:
        """MIDI number of the melody's lowest tonic; 60 is middle C."""
        return round(_MIDDLE_TONIC + _TONIC_SEMITONES * self.register)

    @property
    def level_dbfs(self) -> float:
        """RMS of the music."""
        return _MIDDLE_DBFS + _DB * self.loudness

    @property
    def db_per_octave(self) -> float:
        """How partials change with their number, beside what the instrument does to them."""
        return _DB_PER_OCTAVE + _DB_PER_OCTAVE_SPAN * self.brightness

    @property
    def held(self) -> float:
        """The share of its time that a note sounds."""
        return 0.65 - 0.35 * self.articulation


# Directions after Gabrielsson and Lindström (Handbook of Music and Emotion, 2010, ch. 14); the sizes are ours. In the
# order of the fields of `Controls`.
VALENCE_WEIGHTS = np.array([0.50, 0.10, 0.30, -0.10, 0.10, 0.30])
AROUSAL_WEIGHTS = np.array([0.00, 0.50, 0.00, 0.40, 0.30, 0.15])
_SPREAD = 0.45


def draw_controls(random: np.random.Generator) -> Controls:
    """Controls that lean towards one valence and arousal, drawn evenly over the plane.

    Drawn without a leaning they would cancel out, and nearly all pieces be neutral.
    """
    valence, arousal = random.uniform(-1, 1, 2)
    leaning = 1.4 * (valence * VALENCE_WEIGHTS + arousal * AROUSAL_WEIGHTS)
    return Controls(*np.clip(leaning + random.normal(0, _SPREAD, len(leaning)), -1, 1).tolist())


def rated(controls: Controls, random: np.random.Generator) -> tuple[float, float]:
    """Valence and arousal in [-1, 1]: weighted sums of the controls, and what raters differ by."""
    played = np.array(astuple(controls))
    heard = np.array([VALENCE_WEIGHTS @ played, AROUSAL_WEIGHTS @ played])
    valence, arousal = np.clip(heard + random.normal(0, RATER_NOISE, 2), -1, 1).tolist()
    return round(valence, 4), round(arousal, 4)
