"""Fine-tuning: what a plain loop over the whole model of transformers gives, and only where it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import Corpus
from trainables.teachers import embedded, fine_tuned, transformer
from trainables.teachers.computing import Computing, here
from trainables.teachers.cross_fitted import taught_by, units
from trainables.teachers.fine_tuned import FineTuned, scores, train
from trainables.teachers.fine_tuning import FineTuning
from trainables.teachers.head import Head, parts
from trainables.teachers.layer_states import layer_states
from trainables.teachers.top_layers import TopLayers
from trainables.teachers.transformer import Transformer

SmallEncoder = Callable[[str], Path]
CPU = Computing(torch.device("cpu"))
KINDS = ["wav2vec2", "hubert", "wavlm", "wavlm-stable", "whisper"]
SAMPLES = 16_000


def opened(kind: str, small_encoder: SmallEncoder) -> Transformer:
    return Transformer(kind.removesuffix("-stable"), str(small_encoder(kind)))


def loud(corpus: Corpus, clips: int = 24) -> np.ndarray:
    return np.asarray(np.divide(load_audio(corpus, SAMPLES)[:clips], 32768, dtype=np.float32))


def head() -> Head:
    torch.manual_seed(1)
    return Head(32, 2)


def whole(folder: Path) -> tuple[Any, Any]:
    """The encoder of the saved model, as transformers runs it."""
    model: Any = transformers.AutoModel.from_pretrained(folder).eval()
    return model.get_encoder() if hasattr(
        model, "decoder"
    ) else model, transformers.AutoFeatureExtractor.from_pretrained(folder)


def plain_logits(encoder: Any, extractor: Any, head: nn.Module, audio: np.ndarray, heard: int | None) -> torch.Tensor:
    inputs = next(iter(extractor(list(audio), sampling_rate=16_000, return_tensors="pt").values()))
    hidden = encoder(inputs).last_hidden_state[:, :heard]
    logits: torch.Tensor = head(functional.adaptive_avg_pool1d(hidden.transpose(1, 2), 10).transpose(1, 2))
    return logits


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3])
def test_bottom_and_top_are_the_whole_model(kind: str, count: int, small_encoder: SmallEncoder, corpus: Corpus) -> None:
    encoder, audio = opened(kind, small_encoder), loud(corpus, 5)
    embeddings, (states,) = encoder.embed_below(audio, count)
    np.testing.assert_array_equal(embeddings, encoder.embed(audio))
    top = encoder.top_layers(count, head(), SAMPLES).eval()
    with torch.no_grad():
        found = top(torch.from_numpy(states))
        expected = plain_logits(*whole(small_encoder(kind)), head().eval(), audio, 50 if kind == "whisper" else None)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_that_of_a_plain_loop_over_the_whole_model(
    kind: str, small_encoder: SmallEncoder, corpus: Corpus
) -> None:
    audio, target = loud(corpus), np.arange(24) % 2
    rows = np.arange(20)
    encoder = opened(kind, small_encoder)
    states = encoder.embed_below(audio, 2)[1][0]
    top = encoder.top_layers(2, head(), SAMPLES)
    train(top, states, target, rows, FineTuning(2, 3, 1e-3), 5, CPU)
    found = scores(top, states, np.arange(24), CPU)

    reference, extractor = whole(small_encoder(kind))
    layers = reference.layers if kind == "whisper" else reference.encoder.layers
    heard, own = 50 if kind == "whisper" else None, head()
    trained = [weight for part in (*layers[-2:], own) for weight in part.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0065)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, math.ceil(0.1 * 9), 9)
    torch.manual_seed(5)
    for epoch in range(3):
        own.train()
        for batch in np.array_split(np.random.default_rng([5, epoch]).permutation(rows), 3):
            logits = plain_logits(reference, extractor, own, audio[batch], heard)
            optimizer.zero_grad()
            functional.cross_entropy(logits, torch.from_numpy(target[batch])).backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        expected = plain_logits(reference, extractor, own.eval(), audio, heard)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_only_the_top_layers_and_the_head_change_and_the_loss_falls(
    small_encoder: SmallEncoder, corpus: Corpus
) -> None:
    encoder = opened("wavlm-stable", small_encoder)
    before = {name: weight.clone() for name, weight in encoder._model.state_dict().items()}
    states = encoder.embed_below(loud(corpus), 2)[1][0]
    top = encoder.top_layers(2, head(), SAMPLES)
    first = {name: weight.clone() for name, weight in top.state_dict().items()}
    losses = train(top, states, np.arange(24) % 2, np.arange(24), FineTuning(2, 8, 1e-3), 0, CPU)
    assert losses[-1] < losses[0]
    assert all(torch.equal(weight, before[name]) for name, weight in encoder._model.state_dict().items())
    changed = {
        name.partition(".")[0] for name, weight in top.state_dict().items() if not torch.equal(weight, first[name])
    }
    assert changed == {"layers", "head"}


@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm", "whisper"])
@pytest.mark.parametrize("count", [2, 3])
def test_checkpointing_changes_no_gradient(kind: str, count: int, small_encoder: SmallEncoder, corpus: Corpus) -> None:
    encoder = opened(kind, small_encoder)
    states = torch.from_numpy(encoder.embed_below(loud(corpus, 6), count)[1][0])

    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        top = encoder.top_layers(count, head(), SAMPLES).train()
        for module in top.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.2
        top.checkpointing = checkpointing
        torch.manual_seed(0)
        functional.cross_entropy(top(states), torch.tensor([0, 1] * 3)).backward()
        return [weight.grad for weight in top.parameters() if weight.grad is not None]

    with_it, without = gradients(True), gradients(False)
    assert len(with_it) == len(without) > 10
    for one, other in zip(with_it, without, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_checkpointing_is_chosen_by_the_activations(
    small_encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = opened("wav2vec2", small_encoder).top_layers(2, head(), SAMPLES)
    # Two layers of 2 heads and a width of 32, 8 clips of 49 states, in bytes.
    assert top.activation_bytes(8, 49) == 2 * 2 * 8 * 49 * (34 * 32 + 5 * 2 * 49)
    states, target, rows = np.zeros((8, 49, 32), np.float16), np.arange(8) % 2, np.arange(8)
    for most, choice, expected in (
        (1 << 40, "auto", False),
        (0, "auto", True),
        (1 << 40, "on", True),
        (0, "off", False),
    ):
        monkeypatch.setattr(fine_tuned, "MOST_ACTIVATION_BYTES", most)
        train(top, states, target, rows, FineTuning(2, 1, checkpointing=choice), 0, CPU)
        assert top.checkpointing is expected


def test_without_epochs_it_is_the_head_on_frozen_states(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    spec = f"wav2vec2:{small_encoder('wav2vec2')}"
    frozen = taught_by(spec, corpus, 1.0, 0)
    tuned = taught_by(f"fine_tuned({spec}, layers=2, epochs=0)", corpus, 1.0, 0)
    np.testing.assert_allclose(tuned.logits, frozen.logits, atol=2e-2)
    assert tuned.name == f"fine_tuned({spec}, layers=2, epochs=0, lr=3e-05)"
    assert tuned.content_hash != frozen.content_hash


def test_a_fine_tuned_teacher_repeats_and_joins_others(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    spec = f"wavlm:{small_encoder('wavlm')}"
    tuned = f"fine_tuned({spec}, layers=1, epochs=1, lr=1e-3)"
    once = taught_by(tuned, corpus, 1.0, 0).logits
    joint = taught_by(f"mean({tuned}, {spec})", corpus, 1.0, 0)
    assert joint.name == f"mean(fine_tuned({spec}, layers=1, epochs=1, lr=0.001), {spec})"
    alone = taught_by(spec, corpus, 1.0, 0).logits
    assert not np.allclose(once, alone, atol=1e-2)
    mixed = torch.stack([torch.from_numpy(values).softmax(1) for values in (once, alone)]).mean(0)
    np.testing.assert_allclose(np.exp(joint.logits), mixed, atol=1e-5)


def test_training_again_gives_the_same_logits(
    small_encoder: SmallEncoder, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = f"fine_tuned(hubert:{small_encoder('hubert')}, layers=1, epochs=1)"
    once = taught_by(spec, corpus, 1.0, 3).logits
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    np.testing.assert_array_equal(taught_by(spec, corpus, 1.0, 3).logits, once)


def test_what_is_killed_loses_one_training_at_most(
    small_encoder: SmallEncoder, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"fine_tuned(whisper:{small_encoder('whisper')}, layers=1, epochs=1)"
    trained: list[tuple[int, ...]] = []
    real = fine_tuned.train

    def killed_in_the_third(top: TopLayers, states: Any, target: Any, rows: Any, *rest: Any) -> list[float]:
        trained.append(tuple(rows))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(top, states, target, rows, *rest)

    monkeypatch.setattr(fine_tuned, "train", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        taught_by(spec, corpus, 1.0, 0)
    monkeypatch.setattr(embedded, "portions", None)
    taught_by(spec, corpus, 1.0, 0)
    training = np.isin(np.arange(len(corpus.clips)), corpus.indices("train"))
    expected = [tuple(fitted) for fitted, _ in parts(corpus.targets(), units(corpus), training, 0)]
    assert trained[:3] == expected[:3]
    assert trained[3:] == expected[2:]
    taught_by(spec, corpus, 1.0, 0)
    assert len(trained) == len(expected) + 1


def test_no_training_clip_is_scored_by_a_copy_that_saw_its_speaker(corpus: Corpus) -> None:
    training = np.isin(np.arange(len(corpus.clips)), corpus.indices("train"))
    speakers = np.array([clip.speaker for clip in corpus.clips])
    seen = np.zeros(len(corpus.clips), int)
    for fitted, scored in parts(corpus.targets(), units(corpus), training, 0):
        assert not set(speakers[fitted]) & set(speakers[scored])
        seen[scored] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["wav2vec2", "wavlm", "whisper"])
def test_mixed_precision_learns_too(kind: str, dtype: torch.dtype, small_encoder: SmallEncoder, corpus: Corpus) -> None:
    encoder = opened(kind, small_encoder)
    states = encoder.embed_below(loud(corpus), 2)[1][0]
    computing, target = Computing(torch.device("cpu"), dtype), np.arange(24) % 2
    top = encoder.top_layers(2, head(), SAMPLES)
    losses = train(top, states, target, np.arange(24), FineTuning(2, 8, 1e-3, "on"), 0, computing)
    assert losses[-1] < losses[0]
    found = scores(top, states, np.arange(24), computing)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scores(top, states, np.arange(24), CPU), atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_another_precision_is_another_encoder(
    kind: str, small_encoder: SmallEncoder, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = opened(kind, small_encoder)
    monkeypatch.setattr(transformer, "here", lambda: Computing(torch.device("cpu"), torch.bfloat16))
    mixed = opened(kind, small_encoder)
    assert mixed.content_hash != exact.content_hash
    found, expected = (encoder.embed(loud(corpus, 4)) for encoder in (mixed, exact))
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.2)


def test_without_a_gpu_all_is_float32_on_the_cpu() -> None:
    if torch.cuda.is_available():
        assert here().device.type == "cuda"
        assert here().precision in ("bfloat16", "float16")
    else:
        assert here() == CPU
        assert here().precision == "float32"


def test_progress_is_told(small_encoder: SmallEncoder, corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    spec = f"fine_tuned(wav2vec2:{small_encoder('wav2vec2')}, layers=1, epochs=2, lr=1e-4)"
    with caplog.at_level("INFO", fine_tuned.__name__):
        taught_by(spec, corpus, 1.0, 9)
    told = [message for message in caplog.messages if message.startswith("fine_tuned(")]
    assert len(told) == 12
    assert "lr=0.0001): training 6 of 6, epoch 2 of 2, loss 0." in told[-1]


def test_a_loss_that_is_no_number_is_refused(small_encoder: SmallEncoder) -> None:
    top = opened("wav2vec2", small_encoder).top_layers(1, head(), SAMPLES)
    states = np.full((8, 49, 32), np.nan, np.float16)
    with pytest.raises(ValueError, match="--teacher: mine: the loss is nan in epoch 1; lower lr"):
        train(top, states, np.arange(8) % 2, np.arange(8), FineTuning(1, 1), 0, CPU, "mine")


def test_layers_of_a_fine_tuned_teacher_are_those_before(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    spec = f"wav2vec2:{small_encoder('wav2vec2')}"
    (tuned,), (plain,) = (layer_states(each, corpus, 1.0, (2,)) for each in (f"fine_tuned({spec}, layers=1)", spec))
    np.testing.assert_array_equal(tuned, plain)


def test_more_layers_than_there_are_are_refused(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    with pytest.raises(ValueError, match=r"wav2vec2:.* has 3 layers, so no 4 to train"):
        taught_by(f"fine_tuned(wav2vec2:{small_encoder('wav2vec2')}, layers=4)", corpus, 1.0, 0)


@pytest.mark.parametrize("encoder", ["speech_embedding", "yamnet:somewhere", "classifier:somewhere", "wav2vec2", ""])
def test_what_has_no_layers_is_not_fine_tuned(encoder: str, corpus: Corpus) -> None:
    with pytest.raises(
        ValueError, match="only wav2vec2:, hubert:, wavlm:, whisper: have layers that can be fine-tuned"
    ):
        taught_by(f"fine_tuned({encoder})", corpus, 1.0, 0)


def test_the_key_covers_every_setting(small_encoder: SmallEncoder) -> None:
    encoder = opened("wav2vec2", small_encoder)
    plain = FineTuning(1, 1, 1e-5)
    others = [plain, replace(plain, layers=2), replace(plain, epochs=2), replace(plain, lr=1.00000001e-5)]
    assert len({FineTuned(encoder, tuning).identity for tuning in others}) == 4
    assert FineTuned(encoder, replace(plain, checkpointing="on")).identity == FineTuned(encoder, plain).identity
    assert embedded.PORTION % 16 == 0
