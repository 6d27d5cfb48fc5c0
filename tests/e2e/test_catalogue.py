"""The list of scenarios and the marks of the tests say the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e import catalogue


def test_the_list_has_the_tests_that_are_marked() -> None:
    marked, told = catalogue.marked(), catalogue.told()

    assert sorted(set(marked) - set(told)) == []
    assert catalogue.LIST.read_text() == catalogue.rewritten(catalogue.LIST.read_text()), (
        "python -m tests.e2e.catalogue writes it anew"
    )
    assert [number for number, cell in told.items() if cell.strip() in ("", "-")] == []
    assert sorted(told) == list(told)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("36", "there is no scenario '36': tests/e2e/README.md lists them"),
        ("first", "there is no scenario 'first': tests/e2e/README.md lists them"),
        ("35", "scenario 35 has no test: "),
    ],
)
def test_a_number_without_tests_is_told_in_a_line(word: str, told: str) -> None:
    done = invoke(f"scenario:{word}")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"--only scenario:{word}: {told}")
    assert len(done.stderr.splitlines()) == 1


def test_a_number_runs_its_tests_and_no_others() -> None:
    done = invoke("scenario:104", "--workers", "0")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(catalogue.marked()[104])} passed" in done.stdout


def invoke(only: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", "test", "--only", only, *words]
    return subprocess.run(
        argv, cwd=catalogue.ROOT, capture_output=True, text=True, timeout=120, check=False
    )
