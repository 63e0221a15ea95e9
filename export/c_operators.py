"""The operator resolver of a firmware: exactly what its models run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.carried import CannotCarryError
from export.operators import read_model
from export.verdict import BUILTIN

if TYPE_CHECKING:
    from collections.abc import Iterable

# Methods of MicroMutableOpResolver whose words TFLite writes together, or that are acronyms.
_SPELT = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


def operators_of(model: bytes) -> tuple[str, ...]:
    """Kinds of operator in all of its graphs, in the order of the alphabet."""
    return tuple(sorted({operator.kind for graph in read_model(model).graphs for operator in graph.operators}))


def resolver_method(kind: str) -> str:
    """The method that registers an operator; one that TFLM has no kernel for is a `CannotCarryError`."""
    if kind not in BUILTIN:
        raise CannotCarryError(f"TFLM has no kernel for {kind}")
    words = (word if word[0].isdigit() else word.capitalize() for word in kind.split("_"))
    return f"Add{_SPELT.get(kind) or ''.join(words)}"


def operators_header(models: Iterable[bytes]) -> str:
    """potstill_operators.h: a resolver for these models."""
    kinds = sorted({kind for model in models for kind in operators_of(model)})
    calls = " &&\n           ".join(f"resolver.{resolver_method(kind)}() == kTfLiteOk" for kind in kinds)
    return f"""\
/* The operators that the models run, and no other: the linker leaves out the rest. */
#ifndef POTSTILL_OPERATORS_H
#define POTSTILL_OPERATORS_H

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using PotstillResolver = tflite::MicroMutableOpResolver<{len(kinds)}>;

inline TfLiteStatus potstill_add_operators(PotstillResolver &resolver) {{
    return {calls}
               ? kTfLiteOk
               : kTfLiteError;
}}

#endif
"""
