"""Values with fields that no text of ours may show: not a log's, not a traceback's."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct


class Veiled(Struct, frozen=True):
    veiled: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__qualname__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        names = [name for name in self.__struct_fields__ if name not in self.veiled]
        return [(name, getattr(self, name)) for name in names]
