"""A stream that failed says what iperf3 said."""

from __future__ import annotations

import pytest

from tests.bench.iperf import NoStream, received


def test_an_error_of_iperf3_is_said_in_one_line() -> None:
    with pytest.raises(NoStream, match=r"^iperf3: the server is busy$"):
        received('{"start": {}, "end": {}, "error": "the server is busy"}')
    with pytest.raises(NoStream, match=r"^iperf3 said 'Illegal instruction', which is no JSON$"):
        received("Illegal instruction\n")
    with pytest.raises(NoStream, match="not one byte arrived"):
        received('{"end": {"sum_received": {"bits_per_second": 0}}}')


def test_both_ways_count_as_their_mean() -> None:
    there = '"sum_received": {"bits_per_second": 1e9}'
    back = '"sum_received_bidir_reverse": {"bits_per_second": 2e9}'
    assert received(f'{{"end": {{{there}}}}}') == 1e9
    assert received(f'{{"end": {{{there}, {back}}}}}') == 1.5e9
