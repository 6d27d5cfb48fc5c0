"""The frame of every report: one HTML page that fetches nothing, light or dark as its reader's system is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d0d7de; --bad: #cf222e;
  --good: #1a7f37; --again: #bf8700; --relay: #424a53; --relay-paper: #d8dee4;
  --strong: #fff; --weak: #04260f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d;
  --bad: #da3633; --good: #3fb950; --again: #d29922; --relay: #c4ccd4; --relay-paper: #2d333b;
  --strong: #04260f; --weak: #fff; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 75rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
"""


def page(title: str, body: Iterable[str], style: str = "", script: str = "") -> str:
    """`body` is HTML already; everything in it that somebody else wrote has been escaped."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>",
            *body,
            f"<script>{script}</script>" if script else "",
            "</html>\n",
        ]
    )
