"""Log-mel features and compressed waveforms against torchaudio and against their own definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from pymicro_features import MicroFrontend

from export.front_end import compressed
from spaces.baby_cry import YAMNET_FRONT_END
from spaces.front_end import FrontEnd, micro_front_end
from spaces.wakeword import CLIP_SECONDS
from trainables.corpora.audio import load_audio
from trainables.corpora.wakeword_task import open_corpus
from trainables.features import PickedClips, corpus_features, log_mel


def torchaudios(audio: torch.Tensor, front_end: FrontEnd) -> torch.Tensor:
    spectrogram = torchaudio.transforms.MelSpectrogram(
        sample_rate=front_end.sample_rate_hz,
        n_fft=front_end.n_fft,
        win_length=front_end.window_samples,
        hop_length=front_end.hop_samples,
        f_min=front_end.low_hz,
        f_max=front_end.high_hz,
        n_mels=front_end.mels,
        center=False,
    )
    energy: torch.Tensor = spectrogram(audio).transpose(1, 2)
    return (torch.log(energy + front_end.log_floor) - front_end.log_mean) / front_end.log_std


@given(mels=st.sampled_from([20, 32, 40]), hop=st.sampled_from([160, 256, 320]), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_full_windows_agree_with_torchaudio(mels: int, hop: int, seed: int) -> None:
    front_end = FrontEnd(window_samples=512, hop_samples=hop, mels=mels)
    audio = 0.1 * torch.randn(2, front_end.clip_samples, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(log_mel(audio, front_end), torchaudios(audio, front_end), atol=1e-4, rtol=1e-4)


def test_short_windows_agree_with_torchaudio_where_both_have_frames() -> None:
    # torch centres a 400-sample window in its 512-point frame; ours starts at the frame: 56 samples apart.
    front_end = FrontEnd()
    audio = 0.1 * torch.randn(1, front_end.clip_samples)
    shifted = torch.nn.functional.pad(audio, (56, 56))
    reference = torchaudios(shifted, front_end)
    torch.testing.assert_close(log_mel(audio, front_end), reference[:, : front_end.frames], atol=1e-4, rtol=1e-4)


def test_a_waveform_is_kept_once_for_every_step(speech_folder: Path) -> None:
    corpus = open_corpus(speech_folder, "up")
    fine, coarse = (
        corpus_features(corpus, FrontEnd(kind="waveform", hop_samples=step, window_samples=step)) for step in (16, 64)
    )
    assert (fine.shape[1:], coarse.shape[1:]) == ((1000, 16), (250, 64))
    np.testing.assert_array_equal(fine.reshape(coarse.shape), coarse)
    np.testing.assert_array_equal(fine.reshape(len(fine), -1), compressed(np.asarray(load_audio(corpus, 16_000))))


def test_shape_is_the_front_ends() -> None:
    for front_end in (FrontEnd(), FrontEnd(hop_samples=256, mels=20), FrontEnd(clip_seconds=0.5)):
        found = log_mel(torch.zeros(3, front_end.clip_samples), front_end)
        assert found.shape == (3, front_end.frames, front_end.mels)


def test_silence_is_the_floor() -> None:
    front_end = FrontEnd()
    expected = (np.log(front_end.log_floor) - front_end.log_mean) / front_end.log_std
    np.testing.assert_allclose(log_mel(torch.zeros(1, 16_000), front_end).numpy(), expected, rtol=1e-5)


def test_a_tone_is_loudest_in_its_band() -> None:
    front_end = FrontEnd()
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000).unsqueeze(0)
    centres = torchaudio.functional.functional._mel_to_hz(
        torch.linspace(
            torchaudio.functional.functional._hz_to_mel(front_end.low_hz),
            torchaudio.functional.functional._hz_to_mel(front_end.high_hz),
            front_end.mels + 2,
        )
    )[1:-1]
    assert int(log_mel(tone, front_end)[0, 50].argmax()) == int((centres - 1000).abs().argmin())


def test_corpus_features_are_those_of_its_audio_and_made_once(speech_folder: Path, own_cache: Path) -> None:
    corpus, front_end = open_corpus(speech_folder, "up"), FrontEnd(hop_samples=320, mels=20)
    features = corpus_features(corpus, front_end)
    audio = torch.from_numpy(load_audio(corpus, front_end.clip_samples) / np.float32(32768))
    np.testing.assert_allclose(features, log_mel(audio, front_end).numpy(), atol=1e-5)
    files = {path: path.stat().st_mtime_ns for path in own_cache.rglob("*") if path.is_file()}
    assert np.array_equal(corpus_features(corpus, front_end), features)
    after = {path: path.stat().st_mtime_ns for path in own_cache.rglob("*") if path.is_file()}
    assert after == files


def test_tflms_features_of_a_corpus_are_those_of_its_clips(speech_folder: Path) -> None:
    corpus = open_corpus(speech_folder, "up")
    for seconds in CLIP_SECONDS:
        front_end = micro_front_end(seconds)
        features = corpus_features(corpus, front_end)
        assert features.shape == (len(corpus.clips), front_end.frames, 40)
        for row in (0, 50, -1):
            clip = load_audio(corpus, front_end.clip_samples)[row]
            wrapper = MicroFrontend()
            heard = np.concatenate([clip[::-1], clip]).reshape(-1, 160)
            frames = [found for hop in heard if (found := wrapper.process_samples(hop.tobytes()).features)]
            expected = np.array(frames)[-front_end.frames :]
            np.testing.assert_allclose(features[row] * front_end.log_std + front_end.log_mean, expected, atol=1e-5)


def test_magnitudes_are_the_roots_of_powers() -> None:
    audio = 0.1 * torch.randn(1, YAMNET_FRONT_END.clip_samples, generator=torch.Generator().manual_seed(0))
    spectrum = torchaudio.functional.melscale_fbanks(257, 125.0, 7500.0, 64, 16_000)
    frame = torch.fft.rfft(audio[0, :400] * torch.hann_window(400), n=512).abs()
    expected = (torch.log(frame @ spectrum + 1e-3) + 2.0) / 3.0
    found = log_mel(audio, YAMNET_FRONT_END)
    assert found.shape == (1, 96, 64)
    torch.testing.assert_close(found[0, 0], expected, atol=1e-4, rtol=1e-4)


def test_yamnets_own_triangles_hardly_differ() -> None:
    """YAMNet's filters are straight in mel (tf.signal.linear_to_mel_weight_matrix), ours in Hz."""

    def mel(hz: torch.Tensor) -> torch.Tensor:
        return 1127 * torch.log1p(hz / 700)

    edges = torch.linspace(float(mel(torch.tensor(125.0))), float(mel(torch.tensor(7500.0))), 66)
    bins = mel(torch.linspace(0, 8000, 257))[:, None]
    rising, falling = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    yamnets = torch.minimum(rising, falling).clamp(min=0)
    audio = 0.1 * torch.randn(2, YAMNET_FRONT_END.clip_samples, generator=torch.Generator().manual_seed(1))
    frames = audio.unfold(-1, 400, 160) * torch.hann_window(400)
    expected = (torch.log(torch.fft.rfft(frames, n=512).abs() @ yamnets + 1e-3) + 2.0) / 3.0
    # A low triangle holds a bin or two, and where its sides run decides much of it.
    assert float((log_mel(audio, YAMNET_FRONT_END) - expected).abs().mean()) < 0.03


def test_picked_clips_are_copied_when_they_are_sliced() -> None:
    features = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    picked = PickedClips(features, np.array([4, 1, 3]))
    assert len(picked) == 3
    assert np.array_equal(picked[1:3], features[[1, 3]])
    assert not np.shares_memory(picked[:], features)
