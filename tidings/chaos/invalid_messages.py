"""The account of the invalid messages of a run: which of them a fault may have lost."""

from collections.abc import Iterator

from sqlalchemy import func, select

from events import reading
from events.tables import InvalidMessageRow


class InvalidMessages:
    """The number of invalid messages that were put, and of those that a fault may have lost.

    A fault that may lose messages can only lose those that are not stored when it is injected.
    """

    def __init__(self) -> None:
        self.put = 0
        self._may_be_lost = 0

    def may_be_lost(self) -> None:
        """Note that the next fault may lose every message that is not stored yet."""
        if self.put:
            self._may_be_lost = max(self._may_be_lost, self.put - _stored())

    def missing(self) -> Iterator[str]:
        """Yield a finding if more messages are missing than faults may have lost."""
        stored = _stored()
        if self.put - stored > self._may_be_lost:
            yield (
                f"{self.put} invalid messages were put and {stored} are stored, but faults may "
                f"have lost {self._may_be_lost} at most"
            )


def _stored() -> int:
    with reading() as session:
        return session.scalar(select(func.count(InvalidMessageRow.id))) or 0
