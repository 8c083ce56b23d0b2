"""Errors that concern one queue: the broker's answer as a reason, with the fix."""

import re
from collections.abc import Container, Iterator, Mapping

from amqp.exceptions import AMQPError, InternalError
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from events.errors import BrokerBlocked, BrokerDown, BrokerRefuses, QueueUnavailable

_AFTERWARDS = "the relay then sends its messages"
_DELETED = "was deleted"
_OTHER_ARGUMENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>[^']+)'.*"
    r"received (?P<ours>.*?) but current is (?P<theirs>.*)",
    re.DOTALL,
)
# AMQP's reply codes: too large, not allowed, not found, locked, other arguments, not implemented
# (a stream), internal error.
_CODES = {311, 403, 404, 405, 406, 540, 541}
_PERMISSIONS = (
    "allow the user of BROKER_URL to use it (`rabbitmqctl list_permissions`); " + _AFTERWARDS
)

# Words of the answers of Redis to everybody, with the fixes: it refuses writes alone, or all.
_NO_WRITES = {
    "maxmemory": "raise its maxmemory, or reduce the backlog",
    "MISCONF": "free its disk; see its log",
    "read only replica": "let BROKER_URL name the primary",
    "NOREPLICAS": "start its replicas, or lower its min-replicas-to-write",
}
_NO_ANSWERS = {
    "unknown command": "do not rename or disable this command in its configuration",
    "loading the dataset": "wait until it has read its files; it goes on by itself",
    "replica-serve-stale-data": "let BROKER_URL name the primary",
    "BUSY": "run `redis-cli SCRIPT KILL`",
    "CLUSTERDOWN": "let BROKER_URL name a server that is no part of a cluster",
    "MOVED": "let BROKER_URL name a server that is no part of a cluster",
    "cluster mode": "let BROKER_URL name a server that is no part of a cluster",
    "DB index": "let BROKER_URL name a database that the server has, such as 0",
    "number of clients": "raise its maxclients, or close connections",
    "uthenticat": "correct the password in BROKER_URL",
    "WRONGPASS": "correct the password in BROKER_URL",
    "invalid username-password": "correct the password in BROKER_URL",
}
_NO_FILE = re.compile("Error 2 connecting to [^/]")  # with a slash it is a socket
# Words of RabbitMQ's answers to a whole connection, with reasons of our own: its texts name users
# and virtual hosts, and the reason is public.
_REFUSED_CONNECTIONS = {
    "connection limit": (
        "its limit on connections is reached",
        "raise it (`rabbitmqctl list_vhost_limits`, `list_user_limits`), or close connections",
    ),
    "number of channels": (
        "its limit on channels is reached",
        "raise it (`rabbitmqctl list_user_limits`), or close connections",
    ),
    "Login was refused": (
        "it refuses the login",
        "correct the user and the password in BROKER_URL",
    ),
    "is down": ("the virtual host is down", "run `rabbitmqctl restart_vhost`; see its log"),
    "not found": (
        "it has no such virtual host",
        "run `rabbitmqctl add_vhost`, or correct the path of BROKER_URL",
    ),
    "access to vhost": (
        "the user of BROKER_URL may not use the virtual host",
        "run `rabbitmqctl set_permissions` for it",
    ),
    "access to exchange": (
        "the user of BROKER_URL may not publish to the default exchange",
        "allow it to write to `amq.default` (`rabbitmqctl set_permissions`)",
    ),
}


def _without_leader(queue: str) -> str:
    """Return the fix for a queue without a leader.

    RabbitMQ 3.10 that is killed within a second of the declaration forgets half of the queue, which
    then never has a leader again. Deleting it loses nothing: the ledger has its deliveries.
    """
    return (
        f"if it has no leader (`rabbitmq-queues quorum_status {queue}`), start the nodes that hold "
        f"it; if they all run, run `rabbitmqctl delete_queue {queue}`, and if it has none again, "
        f"restart the node; {_AFTERWARDS}"
    )


def full(queue: str) -> QueueUnavailable:
    """Return the error for a queue that refused a message."""
    return QueueUnavailable(
        queue,
        "is full or has no leader: it refused a message",
        "start workers for it, or raise the max-length of its policy (`rabbitmqctl "
        f"list_policies`); {_without_leader(queue)}",
    )


def late(queue: str, seconds: float) -> QueueUnavailable:
    """Return the error for a queue that confirmed no message in so many seconds."""
    return QueueUnavailable(
        queue,
        f"confirmed no message for {seconds:g} s",
        f"see whether its disk is too slow; {_without_leader(queue)}",
    )


def dropping(queue: str, reason: str) -> QueueUnavailable:
    """Return the error for a queue that drops messages, for RabbitMQ's `reason`."""
    causes = {"maxlen": "overflow with drop-head", "expired": "message-ttl"}
    return QueueUnavailable(
        queue,
        f"drops messages ({reason}): a policy of RabbitMQ gives it {causes.get(reason, 'a limit')}",
        "correct that policy (`rabbitmqctl list_policies`); what was dropped is sent again after "
        "the lease",
    )


def missing(queue: str) -> QueueUnavailable:
    """Return the error for a queue that was deleted."""
    return QueueUnavailable(
        queue, _DELETED, f"none needed: the relay declares it again; {_AFTERWARDS}"
    )


def with_absent(
    refused: Mapping[str, QueueUnavailable], known: Container[str]
) -> dict[str, QueueUnavailable]:
    """Return the errors of a send, of which the relay declares no queue that it does not know."""
    fix = f"start a worker of its app, which declares it; {_AFTERWARDS}"
    return {
        queue: QueueUnavailable(queue, "does not exist", fix)
        if error.reason == _DELETED and queue not in known
        else error
        for queue, error in refused.items()
    }


def concerns_one_queue(error: BaseException) -> bool:
    """Tell whether the broker answered, about one queue; else it failed, or left.

    Also some errors that close the connection do: to take a message from a quorum queue without a
    leader is an internal error of RabbitMQ.
    """
    if isinstance(error, AMQPError):
        return error.reply_code in _CODES
    return any(_is_about_key(each) for each in _chain(error))


def unavailable(queue: str, error: BaseException) -> QueueUnavailable:
    """Return the error about one queue that the broker's answer `error` stands for."""
    if not isinstance(error, AMQPError):
        return _of_key(queue, error)
    text = f"is refused: {str(error.reply_text or error).partition(' - ')[2] or error}"
    if "no queue '" in text:
        return missing(queue)
    if found := _OTHER_ARGUMENT.search(text):
        return _of_argument(queue, found)
    fixes = {
        403: _PERMISSIONS,
        404: f"start the node that holds it, or delete it; {_AFTERWARDS}",
        405: f"close the connection that declared it exclusive; {_AFTERWARDS}",
        541: _without_leader(queue),
    }
    if isinstance(error, InternalError):
        text = f"{text}, most likely because it has no leader"
    fix = fixes.get(error.reply_code or 0, f"see RabbitMQ's log; {_AFTERWARDS}")
    if "max size" in text:
        fix = f"raise max_message_size in RabbitMQ's configuration; {_AFTERWARDS}"
    if "queue limit" in text:
        fix = (
            "raise the max-queues of its virtual host (`rabbitmqctl set_vhost_limits`), or delete "
            f"queues that nothing uses; {_AFTERWARDS}"
        )
    return QueueUnavailable(queue, text, fix)


def broker_error(error: BaseException) -> BrokerDown:
    """Return the error of the whole broker that `error` stands for."""
    if isinstance(error, BrokerDown):
        return error
    if isinstance(error, AMQPError):
        said = str(error.reply_text)
        for found, (reason, fix) in _REFUSED_CONNECTIONS.items():
            if found in said:
                return BrokerRefuses(f"the broker refuses: {reason}", fix)
    text = next((_answer(each) for each in _chain(error) if isinstance(each, RedisError)), "")
    if _NO_FILE.match(text):
        return BrokerRefuses(
            "a file that BROKER_URL names (ssl_ca_certs, ssl_certfile, ssl_keyfile) does not exist",
            "correct its path",
        )
    for found, fix in _NO_WRITES.items():
        if found in text:
            return BrokerBlocked(f"the broker accepts no messages: {text}", fix)
    for found, fix in _NO_ANSWERS.items():
        if found in text:
            return BrokerRefuses(f"the broker refuses: {text}", fix)
    return BrokerDown(f"{type(error).__name__}: {text or error}")


def _of_argument(queue: str, found: re.Match[str]) -> QueueUnavailable:
    name, kind = found["argument"], found["kind"]
    command = f"rabbitmqctl delete_queue {queue}"
    if kind == "exchange":
        command = f"rabbitmqadmin delete exchange name={found['name']}"
    return QueueUnavailable(
        queue,
        f"has {'an exchange with ' if kind == 'exchange' else ''}other arguments than expected: "
        f"inequivalent arg {name!r} is {found['theirs'].strip()}, where Tidings declares "
        f"{found['ours'].strip()}; something else declared it",
        f"stop its workers, run `{command}`, start them: they declare it, and {_AFTERWARDS} again",
    )


def _of_key(queue: str, error: BaseException) -> QueueUnavailable:
    for each in _chain(error):
        if isinstance(each, NoPermissionError):
            return QueueUnavailable(
                queue,
                f"needs more than the user of BROKER_URL may do: {_answer(each)}",
                f"allow the command and the keys `{queue}*` and `_kombu.binding.*` with ACL "
                f"SETUSER; {_AFTERWARDS}",
            )
    return QueueUnavailable(
        queue,
        "has a key that holds something other than a list, or for its bindings a set (WRONGTYPE)",
        f"see `redis-cli type {queue}` and `redis-cli type _kombu.binding.{queue}`, then rename or "
        f"delete the wrong key; {_AFTERWARDS}",
    )


def _is_about_key(error: BaseException) -> bool:
    return isinstance(error, NoPermissionError) or (
        isinstance(error, ResponseError) and "WRONGTYPE" in str(error)
    )


def _answer(error: RedisError) -> str:
    """Return what Redis said, without the command that it was asked."""
    return " ".join(str(error).rpartition("caused error: ")[2].split())[:200]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
