"""Valkey or Redis as the broker: does it keep messages, and does it throw none away?"""

from collections.abc import Iterator, Mapping

from events.errors import BrokerDown
from events.transport import CeleryTransport
from tidings.doctor.findings import Finding, notice, ok, problem, unknown

FULL = 0.9  # of its memory
_STATE = {
    "aof_enabled": "appendonly",
    "aof_last_write_status": "written",
    "maxmemory": "maxmemory",
    "maxmemory_policy": "maxmemory-policy",
    "used_memory": "used",
}


def check(transport: CeleryTransport) -> Iterator[Finding]:
    """Everything about the server that can be asked of it. Raises `BrokerDown`."""
    yield ok("broker", f"{transport.address} answers")
    known = _known(transport)
    yield _persistence(known)
    yield _eviction(known)
    yield from _memory(known)


def _known(transport: CeleryTransport) -> dict[str, str]:
    """Its settings and its state. A managed server that refuses CONFIG tells the most of it under INFO; some refuse that too."""
    state = _ask(transport, "info", "persistence") | _ask(transport, "info", "memory")
    known = {ours: state[theirs] for theirs, ours in _STATE.items() if theirs in state}
    if "appendonly" in known:
        known["appendonly"] = "yes" if known["appendonly"] == "1" else "no"
    for name in ("appendonly", "save", "maxmemory", "maxmemory-policy"):
        known |= _ask(transport, "config_get", name)
    return known


def _ask(transport: CeleryTransport, command: str, word: str) -> dict[str, str]:
    try:
        answer: Mapping[object, object] = transport.with_channel(
            lambda channel: getattr(channel.client, command)(word)
        )
    except BrokerDown:
        transport.connect()  # the refusal cost us the connection; if the server is gone, that is told here
        return {}
    return {_text(name): _text(value) for name, value in answer.items()}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _persistence(known: Mapping[str, str]) -> Finding:
    fix = "set `appendonly yes` in its configuration; what it lost meanwhile the ledger sends again"
    if "appendonly" not in known:
        return unknown(
            "broker's memory",
            "it does not tell whether it keeps messages",
            "see its provider's page: append-only file on",
        )
    if known.get("written", "ok") != "ok":
        return problem(
            "broker's memory",
            "it cannot write its append-only file",
            "see its log; its disk is full or broken",
        )
    if known["appendonly"] == "yes":
        return ok("broker's memory", "it keeps messages through a restart")
    if known.get("save"):
        return notice(
            "broker's memory",
            f"it keeps messages as of its last snapshot only (save {known['save']})",
            fix,
        )
    return problem(
        "broker's memory",
        "it forgets all messages at a restart, and each is late by the lease",
        fix,
    )


def _eviction(known: Mapping[str, str]) -> Finding:
    policy = known.get("maxmemory-policy")
    if policy is None:
        return unknown(
            "eviction",
            "it does not tell what it does when it is full",
            "see its provider's page: maxmemory-policy noeviction",
        )
    if policy != "noeviction":
        return problem(
            "eviction",
            f"maxmemory-policy {policy}: when it is full it throws messages away without a word",
            "set noeviction",
        )
    return ok("eviction", "it throws nothing away when it is full")


def _memory(known: Mapping[str, str]) -> Iterator[Finding]:
    most, used = int(known.get("maxmemory", 0)), int(known.get("used", 0))
    if most and used > FULL * most:
        yield problem(
            "eviction",
            f"{used / most:.0%} of its memory are used",
            "raise maxmemory, or see in `tidings queues` why so much waits",
        )
