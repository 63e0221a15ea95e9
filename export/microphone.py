"""Live sound from the microphone of this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCKS_PER_SECOND = 20


def microphone(rate_hz: int) -> Iterator[NDArray[np.int16]]:
    """int16 samples of one channel, piece by piece, without end.

    A missing sounddevice, a system without PortAudio, or no microphone of this rate is a `ValueError`.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise ValueError(f"--mic: needs sounddevice and PortAudio: pip install -e '.[mic]' ({error})") from None
    block = rate_hz // BLOCKS_PER_SECOND
    try:
        with sounddevice.RawInputStream(samplerate=rate_hz, channels=1, dtype="int16", blocksize=block) as stream:
            while True:
                piece, _ = stream.read(block)
                yield np.frombuffer(piece, np.int16)
    except sounddevice.PortAudioError as error:
        raise ValueError(f"--mic: no microphone of {rate_hz} Hz: {error}") from None
