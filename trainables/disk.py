"""Room on a disk, found by writing: some faults of a full disk reach Python without their number."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from uuid import uuid4

NEEDED_BYTES = 1 << 16
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def is_full(folder: Path) -> bool:
    """Whether `folder` cannot take 64 KiB more: the disk or the quota is used up."""
    probe = folder / f".probe.{uuid4().hex}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(NEEDED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in NO_SPACE
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return False
