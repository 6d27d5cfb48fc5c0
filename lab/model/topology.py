"""Topologies: found by name or path, read, overridden, checked.

    load("nat-pair")                                    topologies/nat-pair.toml
    load("my/net.toml", {"router.home-a.nat": "symmetric"})

What comes back is sound: `lab.model.layout.plan_of` can lay it out. What is not raises a
`TopologyError`, whose text is one line for a person.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lab.model.errors import TopologyError, nearest
from lab.model.network import INTERNET, Host, Relay, Router, Source, Topology
from lab.model.overrides import override
from lab.model.reading import read
from lab.model.toml import drawing_of, parse_toml
from lab.model.validate import validate

__all__ = [
    "INTERNET",
    "Host",
    "Relay",
    "Router",
    "Topology",
    "TopologyError",
    "known",
    "load",
    "loads",
]

NO_OVERRIDES: Mapping[str, str] = {}
ROOT = Path(__file__).parent.parent.parent
FOLDERS = (ROOT / "lab" / "topologies", ROOT / "topologies")


def folder() -> Path:
    """Where the named topologies are: inside the package when it is installed, beside it in a clone."""
    return next((each for each in FOLDERS if each.is_dir()), FOLDERS[0])


def load(
    name_or_path: str, overrides: Mapping[str, str] = NO_OVERRIDES, more: str = ""
) -> Topology:
    """`more` is TOML that follows the file's own: further machines."""
    path = _find(name_or_path)
    file = _shown(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TopologyError(file, "", "there is no such file") from None
    except OSError as error:
        raise TopologyError(file, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TopologyError(file, "", "is not UTF-8 text") from None
    return loads(f"{text}\n{more}" if more else text, file, overrides)


def loads(text: str, file: str, overrides: Mapping[str, str] = NO_OVERRIDES) -> Topology:
    """A topology from its text; `file` is how errors name it, and gives the topology's name."""
    raw = parse_toml(text, file)
    override(raw, overrides)
    topology = read(raw, file, Path(file).stem, drawing_of(text))
    validate(topology)
    return replace(topology, source=Source(text, overrides))


def known() -> list[tuple[str, str]]:
    """Name and one-line story of each topology in the folder."""
    return [(path.stem, _title(path)) for path in sorted(folder().glob("*.toml"))]


def _title(path: Path) -> str:
    try:
        return str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", path.stem))
    except (OSError, ValueError, RecursionError):
        return "(cannot be read)"


def _find(name_or_path: str) -> Path:
    if name_or_path.endswith(".toml"):
        return Path(name_or_path)
    names = [path.stem for path in folder().glob("*.toml")]
    if name_or_path not in names:
        hint = nearest(name_or_path, names)
        if hint.startswith("did"):
            hint += " There is " + ", ".join(sorted(names))
        raise TopologyError("", "", f'there is no topology "{name_or_path}"', hint)
    return folder() / f"{name_or_path}.toml"


def _shown(path: Path) -> str:
    return (
        str(path.relative_to(ROOT))
        if path.is_absolute() and path.is_relative_to(ROOT)
        else str(path)
    )
