"""A teacher's assistant: a larger student that is taught first and then teaches (Mirzadeh et al., arXiv 1902.03393)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trainables.cache import cached_array, content_key
from trainables.distil import logits_of, teach
from trainables.students import build_student

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from spaces.candidate import Candidate
    from trainables.recipe import Material, Recipe

SEED = 0


def assistant_logits(rules: Recipe, material: Material, assistant: Candidate, epochs: int) -> NDArray[np.float32]:
    """What the assistant says of every clip [clips, classes], at its best epoch on validation.

    Taught once for all trials and kept in the cache. Unlike a teacher's head it has seen the clips that it teaches on.
    """
    facts = [part.get("content_hash") for part in (material.data, material.teacher)]
    key = content_key("assistant-logits", assistant, epochs, SEED, facts)
    return cached_array(key, lambda: _taught(rules, material, assistant, epochs))


def _taught(rules: Recipe, material: Material, assistant: Candidate, epochs: int) -> NDArray[np.float32]:
    data = rules.training_set(material, assistant)
    validation = material.corpus.indices("validation")
    features = np.ascontiguousarray(data.features[validation])

    def validate(network: nn.Module) -> float:
        return rules.score(material, validation, logits_of(network, features))

    torch.manual_seed(SEED)
    network = build_student(assistant.student, assistant.front_end, len(material.corpus.labels))
    teach(network, data, assistant, epochs=epochs, seed=SEED, validate=validate)
    return logits_of(network, data.features)
