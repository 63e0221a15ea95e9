"""Options from a TOML file, as the command line would have them."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def with_config(arguments: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """The arguments, after those that `--config FILE.toml` holds: what is given on the command line wins.

    A file that is missing, is no TOML or names an unknown option is a `ValueError`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    path = first.parse_known_args(arguments)[0].config
    return [*(_from_file(path, parser) if path else ()), *arguments]


def _from_file(path: Path, parser: argparse.ArgumentParser) -> list[str]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--config: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"--config: {path} is not TOML: {error}") from error
    strings = {string for action in parser._actions for string in action.option_strings}
    known = {string for string in strings if string.startswith("--")} - {"--config", "--help"}
    return [word for name, value in content.items() for word in _words(path, name, value, known)]


def _words(path: Path, name: str, value: object, known: set[str]) -> list[str]:
    option = "--" + name.replace("_", "-")
    if option not in known:
        raise ValueError(f"--config: {path}: {name!r} is unknown; there are {', '.join(sorted(o[2:] for o in known))}")
    if isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, dict):
        raise ValueError(f"--config: {path}: {name} must be a value or a list, not a table")
    return [f"{option}={one}" for one in (value if isinstance(value, list) else [value])]
