"""A student carried into another format: the file, what ran it, and how far it lies from the INT8 reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from export.golden import Difference

# What a note begins with where a file should have been run, and could not be.
NOT_COMPARED = "not compared"


@final
@dataclass(frozen=True)
class Carried:
    """One file in the output folder, by its relative name.

    `runtime` is what it was run by on the golden inputs and `difference` how far its outputs lie from the reference;
    `note` says how it was made. A file without outputs has neither.
    """

    name: str
    runtime: str = ""
    difference: Difference | None = None
    note: str = ""


@final
class CannotCarryError(ValueError):
    """A format cannot carry this student; the message says why."""
