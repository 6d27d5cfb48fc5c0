"""Values that hold keys: no text shows them, and each names what it hides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import node.core.mesh  # with all that hold keys
import node.wire.uapi  # noqa: F401
from node.core.noise import TransportKeys
from node.core.peer_config import PeerConfig
from node.keys import NodePrivate
from node.veiled import Veiled

SECRET = b"\x5a" * 32


def kinds(base: type[Veiled] = Veiled) -> Iterator[type[Veiled]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize(
    "kind", list(kinds()), ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_what_is_named_is_a_field(kind: type[Veiled]) -> None:
    """Another name would hide nothing, and none is no reason to be of this kind."""
    assert kind.veiled
    assert set(kind.veiled) <= set(kind.__struct_fields__)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (TransportKeys(SECRET, SECRET), "TransportKeys()"),
        (NodePrivate(SECRET), "NodePrivate()"),
    ],
)
def test_it_shows_no_secret(value: Veiled, text: str) -> None:
    assert repr(value) == text
    assert value.__rich_repr__() == []


def test_it_shows_the_rest() -> None:
    key = NodePrivate(SECRET).public
    config = PeerConfig(key, ("100.64.1.10/32",), preshared_key=SECRET)
    names = [name for name, _ in config.__rich_repr__()]
    assert names == [each for each in config.__struct_fields__ if each != "preshared_key"]
    assert repr(SECRET) not in repr(config)
    assert repr(key) in repr(config)
