"""An AMQP message whose properties may be unreadable, so that the consumer can quarantine it.

py-amqp decodes the properties before any hook of the consumer runs. A timestamp in milliseconds, a
table nested too deep or a content type that is not UTF-8 ended the worker; after twenty deliveries
the message was in the dead queue, where it ended the relay.
"""

from struct import unpack_from
from typing import Any

import amqp.method_framing
from amqp.basic_message import Message

UNREADABLE = "application/x-unreadable-properties"


class TolerantMessage(Message):
    """A message that gets the content type `UNREADABLE` if its properties cannot be decoded.

    The header `error` says why.
    """

    def inbound_header(self, buf: Any, offset: int = 0) -> int:
        """Read the frame that precedes the body."""
        try:
            # Not in the stubs.
            return int(super().inbound_header(buf, offset))  # type: ignore[misc]
        except Exception as error:  # raised again at every delivery, whatever it is
            self.body_size = unpack_from(">HxxQ", buf, offset)[1]
            self.properties = {
                "content_type": UNREADABLE,
                "application_headers": {"error": repr(error)[:500]},
            }
            self.ready = not self.body_size
            return len(buf)


def install() -> None:
    """Make every AMQP connection of this process use `TolerantMessage`."""
    framing: Any = amqp.method_framing
    framing.Message = TolerantMessage
