"""The text that asks for fine-tuning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.teachers.ensemble import members_of
from trainables.teachers.fine_tuning import FineTuning, fine_tuning_of


def test_other_text_is_an_encoder_as_it_is() -> None:
    assert fine_tuning_of(" wav2vec2:/a (b), c ") == ("wav2vec2:/a (b), c", None)


def test_what_is_not_said_is_as_always() -> None:
    assert fine_tuning_of("fine_tuned(hubert:x)") == ("hubert:x", FineTuning())


@given(
    st.integers(1, 24),
    st.integers(0, 50),
    st.floats(1e-7, 1e-2),
    st.sampled_from(["auto", "on", "off"]),
)
def test_settings_are_read_back(layers: int, epochs: int, lr: float, checkpointing: str) -> None:
    tuning = FineTuning(layers, epochs, lr, checkpointing)
    assert fine_tuning_of(f"fine_tuned(wavlm:x, {tuning}, checkpointing={checkpointing})") == ("wavlm:x", tuning)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("layers", "'layers' is no setting; there are layers=, epochs=, lr=, checkpointing="),
        ("depth=2", "'depth=2' is no setting"),
        ("layers=0", "layers must be a whole number of 1 or more, not 0"),
        ("epochs=-1", "epochs must be a whole number of 0 or more, not -1"),
        ("lr=fast", "lr must lie between 0 and 1, not fast"),
        ("lr=0", "lr must lie between 0 and 1, not 0"),
        ("lr=nan", "lr must lie between 0 and 1, not nan"),
        ("checkpointing=maybe", "checkpointing must be auto, on, off"),
    ],
)
def test_bad_settings_are_named(settings: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"--teacher: fine_tuned\(hubert:x, {settings}\): {message}"):
        fine_tuning_of(f"fine_tuned(hubert:x, {settings})")


def test_members_keep_their_settings() -> None:
    spec = "confident(fine_tuned(wav2vec2:a, layers=2, lr=1e-5), speech_embedding,fine_tuned(hubert:b))"
    assert members_of(spec) == (
        "confident",
        ("fine_tuned(wav2vec2:a, layers=2, lr=1e-5)", "speech_embedding", "fine_tuned(hubert:b)"),
    )
    assert members_of("fine_tuned(wav2vec2:a, layers=2)") == ("", ("fine_tuned(wav2vec2:a, layers=2)",))
