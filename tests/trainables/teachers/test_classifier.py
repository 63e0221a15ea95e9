"""Audio classifiers as they are, and weights in a file of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from tests.trainables.teachers.classifiers import save_classifier
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import Corpus
from trainables.corpora.disturbances import open_disturbances
from trainables.corpora.views import Rule, clip_views
from trainables.teachers import open_encoder
from trainables.teachers.classifier import class_of_label
from trainables.teachers.cross_fitted import fold_warnings, taught_by
from trainables.teachers.layer_states import layer_states
from trainables.teachers.of_views import view_logits

SmallEncoder = Callable[[str], Path]


def said_by_transformers(folder: Path, corpus: Corpus) -> torch.Tensor:
    """Log-probabilities [5 clips, labels] by the library's own pipeline of model and extractor."""
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(folder)
    audio = np.divide(load_audio(corpus, 16_000)[:5], 32768, dtype=np.float32)
    inputs = extractor(list(audio), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        logits: torch.Tensor = model(**inputs).logits
    return logits.log_softmax(dim=1)


@pytest.mark.parametrize("kind", ["wav2vec2", "audio-spectrogram-transformer"])
def test_its_classes_are_those_of_the_corpus_and_the_rest(kind: str, tmp_path: Path, corpus: Corpus) -> None:
    taught = taught_by(f"classifier:{save_classifier(tmp_path, kind=kind)}", corpus, 1.0, 0)
    expected = said_by_transformers(tmp_path, corpus)
    word, rest = expected[:, 1], expected[:, [0, 2]].logsumexp(dim=1)
    assert corpus.labels == ("_other_", "up")
    found = torch.from_numpy(taught.logits[:5]).log_softmax(dim=1)
    np.testing.assert_allclose(found, torch.stack([rest, word], dim=1), atol=1e-4)
    assert taught.name == f"classifier:{tmp_path}"


def test_the_user_hears_that_it_may_have_seen_the_clips(tmp_path: Path, corpus: Corpus) -> None:
    spec = f"classifier:{save_classifier(tmp_path)}"
    (warning,) = fold_warnings(f"mean({spec}, speech_embedding)", corpus, 0)
    assert warning == f"teacher: {spec} is not cross-fitted: it may have learnt from these clips"
    assert fold_warnings("speech_embedding", corpus, 0) == []


def test_a_classifier_and_a_fine_tuned_encoder_join(
    tmp_path: Path, small_encoder: SmallEncoder, corpus: Corpus
) -> None:
    spec = f"classifier:{save_classifier(tmp_path)}"
    tuned = f"fine_tuned(hubert:{small_encoder('hubert')}, layers=1, epochs=1, lr=1e-05)"
    joint = taught_by(f"confident({spec}, {tuned})", corpus, 1.0, 0)
    assert joint.name == f"confident({spec}, {tuned})"
    assert joint.logits.shape == (108, 2)


def test_emotions_agree_in_any_spelling() -> None:
    found = class_of_label("mine", ("SAD", "Pleasant_Surprise", "calm", "anger"), ("angry", "ps", "sad"))
    assert found.tolist() == [2, 1, -1, 0]


def test_synonyms_between_commas_count() -> None:
    found = class_of_label("mine", ("Speech", "Baby cry, infant cry"), ("_other_", "baby_cry"))
    assert found.tolist() == [0, 1]


def test_a_class_that_no_label_names_is_refused_with_both_lists(tmp_path: Path, corpus: Corpus) -> None:
    spec = f"classifier:{save_classifier(tmp_path, ('LABEL_0', 'LABEL_1'))}"
    message = "has no label for up; its labels are LABEL_0, LABEL_1, and the data's _other_, up"
    with pytest.raises(ValueError, match=f"--teacher: {spec} {message}"):
        taught_by(spec, corpus, 1.0, 0)


def test_many_labels_are_not_all_listed() -> None:
    with pytest.raises(ValueError, match=r"its labels are 0, 1, .*, 38, 39, \.\.\., and the data's a"):
        class_of_label("mine", [str(number) for number in range(60)], ("a",))


def test_an_encoder_alone_is_no_classifier(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    with pytest.raises(ValueError, match=r"classifier:.* holds no whole classifier: classifier\.bias is missing"):
        taught_by(f"classifier:{small_encoder('hubert')}", corpus, 1.0, 0)


def test_layers_of_a_classifier_are_those_of_its_encoder(tmp_path: Path, corpus: Corpus) -> None:
    save_classifier(tmp_path)
    of_classifier, of_encoder = (
        layer_states(f"{kind}:{tmp_path}", corpus, 1.0, (1, 2)) for kind in ("classifier", "wav2vec2")
    )
    np.testing.assert_array_equal(of_classifier, of_encoder)


def test_a_classifier_of_another_kind_shows_no_layers(tmp_path: Path, corpus: Corpus) -> None:
    spec = f"classifier:{save_classifier(tmp_path, kind='audio-spectrogram-transformer')}"
    with pytest.raises(ValueError, match="holds a audio-spectrogram-transformer; layers are had of wav2vec2, hubert"):
        layer_states(spec, corpus, 1.0, (1,))


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_may_be_a_state_dict_in_a_file(ending: str, prefix: str, tmp_path: Path, corpus: Corpus) -> None:
    save_classifier(tmp_path)
    state = transformers.AutoModelForAudioClassification.from_pretrained(tmp_path).state_dict()
    moved = tmp_path / "moved"
    moved.mkdir()
    for configuration in ("config.json", "preprocessor_config.json"):
        shutil.copy(tmp_path / configuration, moved)
    file, weights = moved / f"mine{ending}", {prefix + name: value.clone() for name, value in state.items()}
    if ending == ".pt":
        torch.save(weights, file)
    else:
        safetensors.torch.save_file(weights, file)
    for kind in ("classifier", "wav2vec2"):
        found, expected = (taught_by(f"{kind}:{place}", corpus, 1.0, 0) for place in (file, tmp_path))
        assert found.content_hash == expected.content_hash
        np.testing.assert_array_equal(found.logits, expected.logits)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", {"epoch": 3}, "it holds no state dict, names with tensors and nothing else"),
        ("a.pt", [torch.zeros(1)], "it holds no state dict"),
        ("a.pt", b"no weights", "it is no file of torch.save, or holds more than tensors"),
        ("a.pt", Path(), "it is no file of torch.save, or holds more than tensors"),
        ("a.safetensors", b"no weights", ""),
    ],
)
def test_files_that_hold_no_weights_are_named(name: str, content: object, message: str, tmp_path: Path) -> None:
    file = save_classifier(tmp_path) / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match=rf"--teacher: wav2vec2:.*{name} cannot be loaded: .*{message}"):
        open_encoder(f"wav2vec2:{file}")


def test_a_model_of_another_sampling_rate_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    save_classifier(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    for kind in ("classifier", "wav2vec2"):
        with pytest.raises(ValueError, match=f"--teacher: {kind}:{tmp_path} hears 8000 Hz, and is to hear 16000"):
            taught_by(f"{kind}:{tmp_path}", corpus, 1.0, 0)


def test_an_encoder_of_whisper_needs_no_decoder(tmp_path: Path, small_encoder: SmallEncoder, corpus: Corpus) -> None:
    whole = small_encoder("whisper")
    model: Any = transformers.WhisperModel.from_pretrained(whole)
    encoder = {f"encoder.{name}": value for name, value in model.get_encoder().state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=encoder)
    shutil.copy(whole / "preprocessor_config.json", tmp_path)
    audio = np.divide(load_audio(corpus, 16_000)[:3], 32768, dtype=np.float32)
    found, expected = (open_encoder(f"whisper:{folder}").embed(audio) for folder in (tmp_path, whole))
    np.testing.assert_array_equal(found, expected)


def test_a_classifier_hears_views(corpus: Corpus, tmp_path: Path) -> None:
    spec, train = f"classifier:{save_classifier(tmp_path / 'classifier')}", corpus.indices("train")
    around = open_disturbances(corpus, 16_000, 0, train, train[:0])
    clean, noisy = (
        view_logits(spec, corpus, 1.0, 0, clip_views(corpus, 16_000, around, 1, 0, rule))[0]
        for rule in (Rule(noise_share=0.0, room_share=0.0), Rule())
    )
    assert np.array_equal(clean, taught_by(spec, corpus, 1.0, 0).logits[train])
    assert not np.array_equal(noisy, clean)
