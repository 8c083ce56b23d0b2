"""The events of the newsletter."""

from events import Event


class ReaderSubscribed(Event, type="newsletter.reader_subscribed", source="newsletter"):
    """Somebody wants to read the newsletter."""

    reader_id: int
