"""The relay's task outbox: sends the tasks of committed transactions to the broker."""

from collections.abc import Mapping

from events.database import transaction
from events.errors import BrokerDown, QueueUnavailable
from events.messages import Transport
from events.outgoing_tasks import REFUSED_DELAY, delete_sent, lease_due, put_back


def send_tasks(transport: Transport) -> Mapping[str, QueueUnavailable]:
    """Send the tasks that are due; return the queues that did not take theirs, and why.

    What was not taken is due again. The network is never touched in a transaction. Raises
    `BrokerDown`.
    """
    with transaction() as session:
        messages = lease_due(session)
    if not messages:
        return {}
    try:
        refused = transport.send_tasks(messages)
    except BrokerDown:
        with transaction() as session:
            put_back(session, [message.id for message in messages])
        raise
    with transaction() as session:
        delete_sent(session, [each.id for each in messages if each.queue not in refused])
        back = [each.id for each in messages if each.queue in refused]
        put_back(session, back, delay=REFUSED_DELAY)
    return refused
