"""The reference picture once for each way through the data path: plain, numpy columns, the C loop.

One lab, in which each way has a pair of nodes of its own, behind the same two NATs.
"""

from __future__ import annotations

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from tests.e2e import asked
from tests.e2e.download import downloading

pytestmark = pytest.mark.xdist_group("data path")
MEGABYTE = 1 << 20
WAYS = ["plain", "numpy", "c"]
HOSTS = "".join(
    f"""
[host.{way}-{end}]
on = "home-{end}"
runs = "node"
overlay = "100.64.{number}.{1 + "ab".index(end)}"
args = ["--data-path", "{way}"]
"""
    for number, way in enumerate(WAYS, 11)
    for end in "ab"
)


@pytest.fixture(scope="module")
def net(module_lab: StartLab) -> Net:
    return module_lab("nat-pair", add=HOSTS)


@pytest.mark.parametrize("way", WAYS)
def test_bulk_goes_by_the_relay_then_directly_and_arrives_whole(net: Net, way: str) -> None:
    if way == "c":
        pytest.importorskip("node.accel.segments", reason="the C loop was not built")
    a, b = net.node(f"{way}-a"), net.node(f"{way}-b")
    net.cut(a.name, b.name)  # at first there is only the relay
    a.ping(b)
    with downloading(net, to=a, server=b, size=MEGABYTE) as relayed:
        by_relay = relayed.finish()
    assert a.path_history(b) == ["relay"]

    net.restore(a.name, b.name)
    a.ping(b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=15)
    with net.without_relays(), downloading(net, to=b, server=a, size=4 * MEGABYTE) as direct:
        directly = direct.finish()

    assert (by_relay.size, by_relay.whole) == (MEGABYTE, True)
    assert (directly.size, directly.whole) == (4 * MEGABYTE, True)
    for node in (a, b):
        assert asked.status(net, node.name)["data_path"].split()[0] == way
    net.cut(a.name, b.name)  # the control: what carried it was the direct path
    with net.without_relays(), pytest.raises(NoReply):
        a.ping(b, patience=1)
    net.restore(a.name, b.name)
