"""The stamps of a node's initiations go on where they were, whatever its clock says after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.io.stamps import Stamps

NOW = 1_700_000_000.0


def test_a_clock_that_was_set_back_is_not_followed(tmp_path: Path) -> None:
    key = str(tmp_path / "node.key")
    Stamps(key).reached(NOW)
    assert Stamps(key).first(NOW - 3600) == NOW + 300
    assert Stamps(key).first(NOW + 3600) == NOW + 3600


def test_the_next_handshake_is_within_what_is_kept(tmp_path: Path) -> None:
    stamps, file = Stamps(str(tmp_path / "node.key")), tmp_path / "node.key.time"
    stamps.reached(NOW)
    stamps.reached(NOW + 120)
    assert file.read_text() == "1700000300\n"
    stamps.reached(NOW + 240)
    assert file.read_text() == "1700000540\n"
    assert [each.name for each in tmp_path.iterdir()] == ["node.key.time"]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "yesterday", "nan", "-1", "9" * 20, "9" * 400])
def test_a_file_of_something_else_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.key.time").write_text(text)
    assert Stamps(str(tmp_path / "node.key")).first(NOW) == NOW


def test_a_folder_that_nobody_may_write_in_is_no_reason_to_stop() -> None:
    stamps = Stamps("/proc/node.key")
    stamps.reached(NOW)
    assert stamps.first(NOW - 3600) == NOW + 300  # as long as it runs
