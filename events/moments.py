"""The moments and ranges of time that people write."""

from datetime import MAXYEAR, UTC, datetime, timedelta

from pydantic_core import PydanticCustomError


def moment(text: str) -> datetime:
    """Return the moment of an ISO 8601 date or time; without a zone it is in UTC."""
    try:
        if not text.isascii() or "W" in text:  # a week would be taken for its Monday
            raise ValueError
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError(
            "moment", "write a date or a time in UTC, such as 2026-05-03 or 2026-05-03T14:30"
        ) from None


def last_moment(text: str) -> datetime:
    """Return the moment up to which a range goes: of a date, the end of its day."""
    found = moment(text)
    is_date = len(text.strip()) <= len("2026-05-03")
    return found + timedelta(days=1) if is_date and found.year < MAXYEAR else found


def check_range(since: datetime | None, until: datetime | None) -> None:
    """Refuse a range in which no moment lies. Raises a `ValueError`."""
    if since is not None and until is not None and until <= since:
        raise PydanticCustomError(
            "range", "nothing lies between since and until; write an until that is after since"
        )
