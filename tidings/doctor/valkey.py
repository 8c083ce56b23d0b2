"""Valkey or Redis as the broker: its persistence, its eviction policy and its memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import methodcaller
from typing import Any

from redis.exceptions import NoPermissionError

from events.errors import BrokerDown, QueueUnavailable
from events.transport import CeleryTransport
from tidings.doctor.findings import Finding, notice, ok, or_ok, problem, unknown

MAX_MEMORY_USE = 0.9  # of `maxmemory`
# Each with its type and a question that workers ask too, with the same rights.
_OWN_KEYS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "unacked": ("hash", methodcaller("hget", "unacked", "")),
    "unacked_index": ("zset", methodcaller("zcount", "unacked_index", 0, 0)),
}
_INFO_FIELDS = {
    "aof_enabled": "appendonly",
    "aof_last_write_status": "aof_last_write_status",
    "maxmemory": "maxmemory",
    "maxmemory_policy": "maxmemory-policy",
    "used_memory": "used_memory",
}


def check(transport: CeleryTransport, names: Iterable[str]) -> Iterator[Finding]:
    """Examine a connected server, and the keys of the queues. Raises `BrokerDown`."""
    yield ok("broker", f"{transport.address} answers")
    settings = _settings(transport)
    yield _persistence(settings)
    yield _eviction(settings)
    yield from _memory(settings)
    wanted = sorted(names)
    findings = (each for name in wanted for each in _queue(transport, name))
    yield from or_ok("queues", findings, f"all {len(wanted)} can be used")
    yield from _own_keys(transport)


def _queue(transport: CeleryTransport, name: str) -> Iterator[Finding]:
    try:
        transport.waiting(name)
    except QueueUnavailable as error:
        yield problem("queues", f"{name} {error.reason}", error.fix)


def _own_keys(transport: CeleryTransport) -> Iterator[Finding]:
    """Find keys of kombu's own that cannot be used: no worker receives messages then."""
    for name, (expected, question) in _OWN_KEYS.items():
        try:
            transport.ask(name, partial(_look, question))
        except QueueUnavailable as error:
            trouble, fix = error.reason, error.fix
            if not isinstance(error.__cause__, NoPermissionError):
                found = transport.with_channel(partial(_look, methodcaller("type", name)))
                trouble = f"holds a {_text(found)} instead of a {expected}"
                fix = f"see `redis-cli type {name}`, then rename or delete that key"
            lost = "what workers receive is lost, and sent again after the lease"
            yield problem("queues", f"the key {name} {trouble}: {lost}", fix)


def _look(question: Callable[[Any], object], channel: Any) -> object:
    return question(channel.client)


def _settings(transport: CeleryTransport) -> dict[str, str]:
    """Return the server's settings and state.

    A managed server may refuse CONFIG; INFO then reports most of them. Some refuse INFO too.
    """
    info = _ask(transport, "info", "persistence") | _ask(transport, "info", "memory")
    found = {ours: info[theirs] for theirs, ours in _INFO_FIELDS.items() if theirs in info}
    if "appendonly" in found:
        found["appendonly"] = "yes" if found["appendonly"] == "1" else "no"
    for name in ("appendonly", "save", "maxmemory", "maxmemory-policy"):
        found |= _ask(transport, "config_get", name)
    return found


def _ask(transport: CeleryTransport, command: str, argument: str) -> dict[str, str]:
    try:
        answer: Mapping[object, object] = transport.with_channel(
            lambda channel: getattr(channel.client, command)(argument)
        )
    except BrokerDown:
        # A refused command closes the connection. This raises if the server itself is down.
        transport.connect()
        return {}
    return {_text(name): _text(value) for name, value in answer.items()}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _persistence(settings: Mapping[str, str]) -> Finding:
    fix = "set `appendonly yes` in its configuration; the relay sends lost messages again"
    if "appendonly" not in settings:
        return unknown(
            "persistence",
            "the server does not report its append-only setting",
            "see the provider's settings: the append-only file must be on",
        )
    if settings.get("aof_last_write_status", "ok") != "ok":
        return problem(
            "persistence",
            "the last write of the append-only file failed",
            "see the log of the server; its disk is full or broken",
        )
    if settings["appendonly"] == "yes":
        return ok("persistence", "messages survive a restart of the broker")
    if settings.get("save"):
        return notice(
            "persistence",
            f"messages since the last snapshot are lost at a restart (save {settings['save']})",
            fix,
        )
    return problem(
        "persistence",
        "all messages are lost at a restart; each is then sent again after the lease",
        fix,
    )


def _eviction(settings: Mapping[str, str]) -> Finding:
    policy = settings.get("maxmemory-policy")
    if policy is None:
        return unknown(
            "eviction",
            "the server does not report its maxmemory-policy",
            "see the provider's settings: maxmemory-policy must be noeviction",
        )
    if policy != "noeviction":
        return problem(
            "eviction",
            f"maxmemory-policy is {policy}: a full server drops messages without an error",
            "set maxmemory-policy to noeviction",
        )
    return ok("eviction", "a full server drops no messages")


def _memory(settings: Mapping[str, str]) -> Iterator[Finding]:
    limit, used = int(settings.get("maxmemory", 0)), int(settings.get("used_memory", 0))
    if limit and used > MAX_MEMORY_USE * limit:
        yield problem(
            "memory",
            f"{used / limit:.0%} of maxmemory is used",
            "raise maxmemory, or reduce the backlog that `tidings queues` shows",
        )
