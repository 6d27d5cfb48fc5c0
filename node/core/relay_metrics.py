"""A relay's numbers as Prometheus text, under the names that people's dashboards for DERP know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

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


def render(
    counters: Mapping[str, int], drops: Mapping[tuple[str, str], int],
    links: Collection[Link], registry: Registry,
) -> str:  # fmt: skip
    all_drops = Counter(drops)
    for link in links:
        all_drops.update(link.outbox.drops or {})
    lines: list[str] = []
    for name, value in gauges(links, registry).items():
        lines += f"# TYPE derp_{name} gauge", f"derp_{name} {value}"
    for name in COUNTERS:
        lines += f"# TYPE derp_{name} counter", f"derp_{name} {counters.get(name, 0)}"
    lines.append("# TYPE derp_packets_dropped counter")
    for (reason, kind), value in sorted(all_drops.items()):
        lines.append(f'derp_packets_dropped{{reason="{reason}",kind="{kind}"}} {value}')
    return "\n".join(lines) + "\n"
