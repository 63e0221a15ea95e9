"""One row of a recipe's ablation: fixed settings that are trained with several seeds and compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar

_UNSAFE = re.compile(r"[^\w.=,-]+")


@final
@dataclass(frozen=True)
class Setting:
    """Parameters under a name; its test score is held against that of the setting `against`, seed by seed.

    `once`: one seed is enough, for the record.
    """

    name: str
    params: Mapping[str, Scalar]
    against: str | None = None
    once: bool = False

    @property
    def folder(self) -> str:
        """The name as a folder's."""
        return _UNSAFE.sub("_", self.name)
