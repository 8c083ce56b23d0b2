"""The work after a restore: order numbers are skipped, and the ledger forgets what was sent."""

from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.orm import Session

from events import Database, heartbeat, ledger
from events.tables import Heartbeat
from tasks import restores
from tidings.backup.verify import BackupError


@dataclass(frozen=True)
class Request:
    """A restore that was asked for, by whom and why.

    `last_key` is the key of the last order number that was given, if a person knows it.
    """

    who: str
    why: str = ""
    last_key: int | None = None


def follow_up(session: Session, request: Request, *, known_key: int | None) -> restores.Restore:
    """Record the restore in the restored database, so that no order number is given twice.

    `known_key` is the highest one of the replaced database. If neither it nor the person knows the
    last number, as many are skipped as can have been given since the newest event.
    """
    last_key = restores.last_key_given(session)
    given = [key for key in (request.last_key, known_key) if key is not None]
    if given:
        last_key = max(last_key, *given)
    else:
        last_key += restores.unknown_keys(restores.log_end(session))
    ledger.unmark_all_sent(session)
    session.execute(delete(Heartbeat))
    return restores.record(session, last_key=last_key, who=request.who, why=request.why)


def follow_up_by_hand(database: Database, request: Request) -> restores.Restore:
    """Do what follows a restore that was made with other tools. Raises `BackupError` while
    processes use the database."""
    with database.transaction() as session:
        if alive := ", ".join(each.name for each in heartbeat.alive(session)):
            raise BackupError(
                f"{alive} used the database within the last seconds; stop all processes, then run "
                "this command again"
            )
        return follow_up(session, request, known_key=None)
