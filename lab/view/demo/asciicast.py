"""What a terminal was sent, with times, as an asciicast (version 2): a header, and a line for each piece.

`asciinema play F.cast` plays it. https://docs.asciinema.org/manual/asciicast/v2/
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO, Any

from lab.errors import BadRequest


class Asciicast:
    """A text file to be written to as if it were the terminal; what it is given goes to `through` as well."""

    encoding = "utf-8"

    def __init__(
        self, file: str, size: tuple[int, int], title: str, through: IO[str] | None
    ) -> None:
        try:
            self._file: IO[str] = Path(file).open("w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise BadRequest(f"--record {file}: {error.strerror}") from None
        self._through = through
        self._started: float | None = None  # with the first piece
        width, height = size
        header = {"version": 2, "width": width, "height": height, "timestamp": int(time.time())}
        self._line(header | {"title": title, "env": {"TERM": "xterm-256color"}})

    def write(self, text: str) -> int:
        if text:
            now = time.monotonic()
            self._started = self._started or now
            sent = text.replace("\n", "\r\n")  # as a terminal's driver does
            self._line([round(now - self._started, 6), "o", sent])
        return len(text) if self._through is None else self._through.write(text)

    def flush(self) -> None:
        self._file.flush()
        if self._through is not None:
            self._through.flush()

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._through is None:
            raise OSError("a recording has no descriptor")
        return self._through.fileno()

    def close(self) -> None:
        self._file.close()

    def _line(self, what: Any) -> None:
        self._file.write(json.dumps(what, ensure_ascii=False) + "\n")
