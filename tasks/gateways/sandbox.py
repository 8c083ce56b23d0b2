"""The switches of the sandbox gateways: rows, so that every process sees a change at once."""

from collections.abc import Callable

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, get_or_create_locked
from events.dialects import fetch
from tasks.gateways.http_answers import error_of as http_error
from tasks.gateways.ports import GatewayDown

NAMES = ("payment", "shipping", "email")
MAX_RETRY_AFTER = 100  # characters


class SandboxSwitch(Base):
    """The switch of one gateway: down, or answering every request with `status`.

    The status is that of HTTP, with its Retry-After; for mails it is the code of an SMTP reply.
    """

    __tablename__ = "sandbox_switches"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    down: Mapped[bool]
    status: Mapped[int | None]
    retry_after: Mapped[str | None] = mapped_column(String(MAX_RETRY_AFTER))


_SWITCH = select(SandboxSwitch.down, SandboxSwitch.status, SandboxSwitch.retry_after).where(
    SandboxSwitch.name == bindparam("name")
)


def sandbox_switch(
    session: Session,
    name: str,
    *,
    down: bool,
    status: int | None = None,
    retry_after: str | None = None,
) -> None:
    """Make the gateway `name` unreachable, let it answer `status`, or restore it."""
    if name not in NAMES:
        raise ValueError(f"there is no gateway {name!r}; there are: {', '.join(NAMES)}")
    row = get_or_create_locked(session, SandboxSwitch, name, down=down)
    row.down, row.status, row.retry_after = down, status, retry_after


def is_down(session: Session, name: str) -> bool:
    """Return true if the gateway `name` is switched off."""
    found = session.execute(_SWITCH, {"name": name}).first()
    return found is not None and found.down


def sandbox_state(session: Session, name: str) -> str:
    """Return the state of the gateway `name` as text: `up`, `down`, `answering 503`."""
    found = session.execute(_SWITCH, {"name": name}).first()
    if found is None or not (found.down or found.status):
        return "up"
    if found.down:
        return "down"
    header = f" with Retry-After: {found.retry_after}" if found.retry_after else ""
    return f"answering {found.status}{header}"


def check(
    session: Session,
    name: str,
    error_of: Callable[[str, int, str | None], Exception] = http_error,
) -> None:
    """Raise the error that the switch of the gateway `name` is set to, if it is."""
    for found in fetch(session.connection(), _SWITCH, {"name": name}):
        if found.down:
            raise GatewayDown(f"{name} sandbox is down")
        if found.status:
            raise error_of(f"{name} sandbox", found.status, found.retry_after)
