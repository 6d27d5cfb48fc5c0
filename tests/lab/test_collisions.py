"""Two hosts with 400 equal ports each and four destinations, all in one burst: do the mapping words hold?

RFC 4787 §4.1: an endpoint-independent mapping is one external endpoint for each inside endpoint, and
nobody else's. Plain MASQUERADE, which only looks so while nobody collides, is the control.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from lab.client import Lab
from tests.lab.burst import Endpoint, Seen, burst
from tests.lab.street import street

pytestmark = pytest.mark.xdist_group("collisions")  # one lab for all of these

HONEST = ["ei-ei", "ei-ad", "ei-apd", "sequential"]
KERNEL = "crowded-linux"
PORTS = 400


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(tmp_path_factory.mktemp("collisions")))
        lab = Lab.up(street([*HONEST, KERNEL]))
        try:
            yield burst(lab, [*HONEST, KERNEL], PORTS)
        finally:
            lab.down()


@pytest.mark.parametrize("router", HONEST)
def test_honest_collisions_leave_each_socket_one_endpoint_of_its_own(
    seen: Seen, router: str
) -> None:
    found = seen[router]

    assert heard(found) == 2 * PORTS * 4
    assert [inside for inside, outside in found.items() if len(set(outside)) > 1] == []
    assert shared(found) == []


def test_plain_masquerade_breaks_both_promises_in_the_same_burst(seen: Seen) -> None:
    found = seen[KERNEL]

    assert heard(found) == 2 * PORTS * 4
    assert sum(len(set(outside)) > 1 for outside in found.values()) > PORTS
    assert len(shared(found)) > PORTS // 2


def heard(found: dict[Endpoint, list[Endpoint]]) -> int:
    return sum(map(len, found.values()))


def shared(found: dict[Endpoint, list[Endpoint]]) -> list[Endpoint]:
    """External endpoints with more than one inside."""
    owners = Counter(each for outside in found.values() for each in set(outside))
    return [each for each, count in owners.items() if count > 1]
