"""What a CI job's summary says of a test run."""

from __future__ import annotations

from lab.view.summary import markdown

JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite>
<testcase classname="test_it" name="test_one" time="1.25" />
<testcase classname="test_it" name="test_two" time="2.5">
<failure message="NoReply: a|b &lt;x&gt;&#10;got none">long</failure></testcase>
<testcase classname="test_it" name="test_three" time="0"><skipped message="no TUN" /></testcase>
</testsuite></testsuites>
"""


def test_failures_and_skips_are_told_with_their_reasons() -> None:
    assert markdown(JUNIT, "my labs").splitlines() == [
        "### my labs: failed",
        "",
        "1 passed, 1 failed, 1 skipped, 4 s",
        "",
        "| | test | why |",
        "| --- | --- | --- |",
        "| failed | `test_it.test_two` | NoReply: a\\|b &lt;x> got none |",
        "| skipped | `test_it.test_three` | no TUN |",
    ]


def test_nothing_but_passes_is_a_line() -> None:
    one = '<testsuite><testcase classname="t" name="a" time="0.1" /></testsuite>'

    assert markdown(one) == "### Labs: passed\n\n1 passed, 0 failed, 0 skipped, 0 s\n"
