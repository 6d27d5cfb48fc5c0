"""What a page would ask others for: a report is to be readable on its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# HTML Living Standard, the attributes index: those that a browser follows by itself or on a click.
FOLLOWED = {
    *("action", "background", "cite", "data", "formaction", "href", "imagesrcset", "manifest"),
    *("ping", "poster", "src", "srcset", "xlink:href"),
}
IN_STYLES = re.compile(r"""url\(\s*['"]?(?!data:|#)[^)]*\)|@import\b[^;]*""")


def fetched(page: str) -> list[str]:
    """Each address outside of the page, in the order of the text; words in styles last."""
    reader = _Reader()
    reader.feed(page)
    return reader.found + IN_STYLES.findall(page)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in FOLLOWED and not (value or "").startswith(("#", "data:")):
                self.found.append(f"{tag} {name}={value}")
