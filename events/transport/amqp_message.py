"""An AMQP message whose properties cannot be read: taken all the same, so that the consumer can keep it as a invalid_message.

py-amqp decodes the header of a message before any hook of the Consumer. A timestamp in milliseconds, a table nested too deep, a
content type that is not UTF-8 ended the worker, twenty workers later the message was in the dead queue, and ended the relay.
"""

from struct import unpack_from
from typing import Any

import amqp.method_framing
from amqp.basic_message import Message

UNREADABLE = "application/x-unreadable-properties"


class TolerantMessage(Message):
    """Says of properties that it cannot read that it cannot; what is wrong with them is in the header `error`."""

    def inbound_header(self, buf: Any, offset: int = 0) -> int:
        """Read the frame that comes before the body."""
        try:
            return int(super().inbound_header(buf, offset))  # type: ignore[misc]  # the stubs leave it out
        except Exception as error:  # whatever it is, it would come again with the message
            self.body_size = unpack_from(">HxxQ", buf, offset)[1]
            self.properties = {
                "content_type": UNREADABLE,
                "application_headers": {"error": repr(error)[:500]},
            }
            self.ready = not self.body_size
            return len(buf)


def install() -> None:
    """Let every AMQP connection of this process read messages so."""
    framing: Any = amqp.method_framing
    framing.Message = TolerantMessage
