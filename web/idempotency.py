"""One answer per Idempotency-Key: the key is saved in the transaction of what it guards, so that both exist or neither.

A second request with the same key waits on SQLite, where only one transaction writes at a time, and then gets the first
answer; on PostgreSQL it is told that the first one is still running.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, current
from events.admin.erasure import Person, register_eraser
from events.personal import ERASED
from tasks.orders import Order
from web.errors import KeyReused, StillRunning

KEPT = timedelta(hours=24)
SWEPT = 20  # expired keys that each new one takes away


class IdempotencyKey(Base):
    """A key that was used, by hash, with the answer it got."""

    __tablename__ = "idempotency_keys"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True)
class Answer:
    """What was answered, and whether it was answered before."""

    body: dict[str, Any]
    again: bool = False


def once(
    session: Session, key: str | None, request: str, work: Callable[[], dict[str, Any]]
) -> Answer:
    """The answer of `work`, which is done once per `key` of this tenant and user; without a key, each time.

    Raises `KeyReused` if the key was used for another `request`, `StillRunning` if its first use has not ended.
    """
    if key is None:
        return Answer(work())
    digest, body = _digest(key), _hash(request)
    _lock(session, digest)
    found = session.get(IdempotencyKey, digest)
    if found is not None and found.created_at > clock.now() - KEPT:
        if found.body != body:
            raise KeyReused()
        return Answer(found.answer, again=True)
    answer = work()
    _sweep(session)
    session.merge(IdempotencyKey(digest=digest, body=body, answer=answer, created_at=clock.now()))
    return Answer(answer)


@register_eraser("idempotency answers")
def forget(session: Session, person: Person) -> int:
    """Take the right to see the order out of the answers about a person's orders; the answers stay, so that none is placed twice."""
    ids = set(session.scalars(select(Order.id).where(Order.number.in_(person.subjects))))
    rows = [
        row
        for row in session.scalars(select(IdempotencyKey))
        if row.answer["id"] in ids and row.answer["token"] != ERASED
    ]
    for row in rows:
        links = row.answer.get("links", {})
        kept = {"links": links | {"page": links["page"].partition("?")[0]}} if links else {}
        row.answer = row.answer | {"token": ERASED} | kept
    return len(rows)


def _digest(key: str) -> str:
    actor = current().actor
    return _hash("\0".join((actor.tenant or "", actor.user or "", key)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lock(session: Session, digest: str) -> None:
    if session.get_bind().dialect.name != "postgresql":
        return
    number = int.from_bytes(bytes.fromhex(digest[:16]), signed=True)
    if not session.scalar(select(func.pg_try_advisory_xact_lock(number))):
        raise StillRunning()


def _sweep(session: Session) -> None:
    expired = (
        select(IdempotencyKey.digest)
        .where(IdempotencyKey.created_at < clock.now() - KEPT)
        .limit(SWEPT)
    )
    session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.digest.in_(expired.with_for_update(skip_locked=True))
        )
    )
