"""One result per Idempotency-Key: key and result are saved in the transaction of the work itself.

On SQLite, which runs one writing transaction at a time, a second request with the same key waits
and gets the first result. On PostgreSQL it is refused while the first one is still running.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import String, and_, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, current
from events.admin.erasure import register_stage
from events.admin.person import Person
from events.admin.slices import Stage
from events.dialects import dialect_of
from events.personal import ERASED
from tasks.orders import Order
from web.errors import KeyReused, StillRunning

KEY_TTL = timedelta(hours=24)
SWEEP_BATCH = 20  # expired keys that each new key deletes
_BARE = re.compile(r"[!#-+\--~][!-+\--~]{0,199}")  # no comma: it joins two headers
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,200})"')


def parse_key(sent: str) -> str:
    """Return the key in an `Idempotency-Key`: `"k-1"`, a string of RFC 9651, is the key `k-1`."""
    if _BARE.fullmatch(sent):
        return sent
    if (quoted := _QUOTED.fullmatch(sent)) and quoted[1].strip():
        return re.sub(r"\\(.)", r"\1", quoted[1])
    raise PydanticCustomError(
        "idempotency_key",
        "send one key of up to 200 visible ASCII characters, bare without a comma, or as a string "
        "in double quotes",
    )


class IdempotencyKey(Base):
    """A used key, as a hash, with the hash of its request and the result of the work."""

    __tablename__ = "idempotency_keys"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(String(64))
    order_id: Mapped[str | None] = mapped_column(String(64), index=True)
    answer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True)
class Result:
    """A result of the work; `replayed` if it is that of an earlier request."""

    body: dict[str, Any]
    replayed: bool = False


def once(
    session: Session,
    key: str | None,
    request: str,
    work: Callable[[], dict[str, Any]],
    *,
    customer: str,
) -> Result:
    """Do `work` once per `key` of this tenant and user; without a key, each time.

    Without a login the e-mail address of the `customer` stands for the user: who guesses the key of
    another neither gets the result nor occupies the key.

    Raises `KeyReused` if the key was used with another `request`, and `StillRunning` if its first
    use is not finished.
    """
    if key is None:
        return Result(work())
    digest, body = _digest(key, customer), _hash(request)
    _lock(session, digest)
    row = session.get(IdempotencyKey, digest)
    if row is not None and row.created_at > clock.now() - KEY_TTL:
        if row.body != body:
            raise KeyReused()
        return Result(row.answer, replayed=True)
    result = work()
    _sweep(session)
    used = IdempotencyKey(digest=digest, body=body, answer=result, created_at=clock.now())
    used.order_id = result.get("id")
    session.merge(used)
    return Result(result)


_ANSWER = IdempotencyKey.answer
_TOKEN = _ANSWER["token"].as_string()


@register_stage("idempotency answers")
def erase(person: Person) -> Stage:
    """Erase the token from the results about a person's orders.

    The rows stay until they expire, so that a repeated request places no second order.
    """

    def find(session: Session, limit: int) -> Sequence[str]:
        ids = session.scalars(select(Order.id).where(Order.number.in_(person.subjects))).all()
        earlier = and_(IdempotencyKey.order_id.is_(None), _ANSWER["id"].as_string().in_(ids))
        digests: Sequence[str] = []
        # Two statements: with both conditions in one, PostgreSQL does not use the index.
        for theirs in (IdempotencyKey.order_id.in_(ids), earlier):
            left = select(IdempotencyKey.digest).where(theirs, _TOKEN != ERASED)
            digests = digests or session.scalars(left.limit(limit)).all()
        return digests

    return Stage(find, _erase_tokens)


def _erase_tokens(session: Session, digests: Sequence[str], _: object) -> int:
    rows = session.scalars(select(IdempotencyKey).where(IdempotencyKey.digest.in_(digests))).all()
    for row in rows:
        row.answer = row.answer | {"token": ERASED}
    return len(rows)


def _digest(key: str, customer: str) -> str:
    actor = current().actor
    owner = ("user", actor.user) if actor.user else ("customer", customer.casefold())
    return _hash("\0".join((actor.tenant or "", *owner, key)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lock(session: Session, digest: str) -> None:
    number = int.from_bytes(bytes.fromhex(digest[:16]), signed=True)
    if not dialect_of(session).try_lock(session, number):
        raise StillRunning()


def _sweep(session: Session) -> None:
    expired = (
        select(IdempotencyKey.digest)
        .where(IdempotencyKey.created_at < clock.now() - KEY_TTL)
        .limit(SWEEP_BATCH)
        .with_for_update(skip_locked=True)
    )
    chosen = dialect_of(session).is_locked(IdempotencyKey.digest, expired)
    session.execute(delete(IdempotencyKey).where(chosen))
