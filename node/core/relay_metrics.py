"""A relay's numbers, under the names that people's dashboards for DERP know.

Three of those names are missing, as there is nothing here that they would count: how often a client's
writer went round for one mesh update (an update is one write), how many frames it gathered before a
flush (there is no buffered writer: frames leave in the write that brought them, if they can), and how
long packets wait on average (most do not wait; the drops tell of those that waited too long).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from node.core.metrics import Histogram, Metric, counter, gauge
from node.core.relay_drops import KINDS, REASONS, Drops
from node.core.relay_link import Link
from node.core.relay_registry import Registry

COUNTERS = (
    "accepts", "bytes_received", "bytes_sent", "packets_received", "packets_sent",
    "unknown_frames", "home_moves_in", "home_moves_out", "got_ping", "sent_pong",
    "peer_gone_disconnected_frames", "peer_gone_not_here_frames", "packets_forwarded_in",
    "packets_forwarded_out", "sclient_write_timeouts", "counter_total_dup_client_conns",
    "malformed", "not_admitted", "http_answers", "accept_errors", "accepts_over_limit",
    "rate_limited", "tls_failures", "websocket_accepts",
)  # fmt: skip
FORWARDERS = (
    "multiforwarder_created", "multiforwarder_deleted", "packet_forwarder_delete_other_value",
)  # fmt: skip


def gauges(links: Collection[Link], registry: Registry) -> dict[str, int]:
    up = list(registry.links())
    local, remote = len(registry.clients), registry.remote_keys
    dup = [client for client in registry.clients.values() if len(client.links) > 1]
    return {
        "gauge_current_connections": len(links),
        "gauge_current_home_connections": sum(link.preferred for link in up),
        "gauge_current_notideal_connections": sum(not link.ideal for link in up),
        "gauge_watchers": len(registry.watchers),
        "gauge_clients_total": local + remote,
        "gauge_clients_local": local,
        "gauge_clients_remote": remote,
        "gauge_current_dup_client_keys": len(dup),
        "gauge_current_dup_client_conns": sum(len(client.links) for client in dup),
    }


def relay_metrics(
    counters: Mapping[str, int], drops: Drops, links: Collection[Link], registry: Registry,
    mesh_updates: Histogram,
) -> Iterator[Metric]:  # fmt: skip
    for name, value in gauges(links, registry).items():
        yield gauge(f"derp_{name}", value)
    for name in COUNTERS:
        yield counter(f"derp_{name}", counters.get(name, 0))
    for name in FORWARDERS:
        yield counter(f"derp_{name}", registry.counters[name])
    disco = counters.get("disco_received", 0)
    received = {"disco": disco, "other": counters.get("packets_received", 0) - disco}
    samples: dict[str, float] = {f'{{kind="{kind}"}}': n for kind, n in received.items()}
    yield Metric("derp_counter_packets_received_kind", "counter", samples)
    yield mesh_updates.metric("derp_counter_mesh_update_batch_size")
    yield from _dropped(drops, links)


def _dropped(gone: Drops, links: Collection[Link]) -> Iterator[Metric]:
    drops = Drops()
    drops.add(gone)
    for link in links:
        drops.add(link.outbox.drops)
    for unit, counts in (("packets", drops.packets), ("bytes", drops.bytes)):
        samples: dict[str, float] = {
            f'{{reason="{reason}",kind="{kind}"}}': counts[reason, kind]
            for reason in REASONS
            for kind in KINDS
        }
        yield Metric(f"derp_{unit}_dropped", "counter", samples)
