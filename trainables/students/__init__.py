"""Networks small enough for the chip, one family per module, found by the name of the module."""

from __future__ import annotations

import functools
import hashlib
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import nn

    from spaces.candidate import Student
    from spaces.front_end import FrontEnd


SHARED = {"layers", "streaming", "recurrent"}


def kinds() -> list[str]:
    """Names that `Student.kind` may take."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in SHARED)


def build_student(student: Student, front_end: FrontEnd, outputs: int) -> nn.Module:
    """An untrained network from float32 features [batch, 1, frames, values per frame] to logits [batch, outputs]."""
    if student.kind not in kinds():
        raise ValueError(f"student: {student.kind!r} is unknown; there are {', '.join(kinds())}")
    module = importlib.import_module(f"trainables.students.{student.kind}")
    return cast("nn.Module", module.build(student.arguments, front_end, outputs))


@functools.cache
def sources_hash() -> str:
    """Changes with the code of any student: what is kept of an architecture holds for one."""
    digest = hashlib.sha256()
    for path in sorted(Path(__path__[0]).glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
