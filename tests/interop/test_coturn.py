"""coturn as a host's daemon: STUN with RFC 5780's questions, and TURN."""

from __future__ import annotations

import pytest

from lab.errors import BuildFailed
from lab.pytest_plugin import Net, StartLab

pytestmark = [pytest.mark.needs_lab("turnserver"), pytest.mark.xdist_group("coturn")]

TWO_ADDRESSES = """
[host.judge]
runs = "coturn"
addresses = ["192.0.2.10", "192.0.2.20"]
[router.home]
nat = "restricted-cone"
[host.laptop]
on = "home"
"""


@pytest.fixture(scope="module")
def net(module_lab: StartLab) -> Net:
    return module_lab("nat-pair", add=TWO_ADDRESSES)


def test_with_two_addresses_it_says_what_a_nat_does(net: Net) -> None:
    said = net.run("laptop", "turnutils_natdiscovery", "-m", "-f", "192.0.2.10").stdout

    assert "NAT with Endpoint Independent Mapping!" in said
    assert "NAT with Address Dependent Filtering!" in said


def test_it_passes_on_packets_for_who_knows_the_password(net: Net) -> None:
    talk = ["turnutils_uclient", "-y", "-c", "-n", "5", "-u", "punchlab"]

    assert "Total lost packets 0 " in net.run("laptop", *talk, "-w", "punchlab", "judge").stdout
    assert net.run("laptop", *talk, "-w", "wrong", "judge").returncode != 0


def test_one_that_cannot_start_is_told(lab: StartLab) -> None:
    with pytest.raises(BuildFailed, match="judge"):
        lab("nat-pair", add='[host.judge]\nruns = "coturn"\nargs = ["--no-such-option"]\n')
