"""The switches of the sandbox gateways: rows, so that every process sees a change at once."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, get_or_create_locked
from tasks.gateways.ports import GatewayDown

NAMES = ("payment", "shipping", "email")


class SandboxSwitch(Base):
    """The switch of one gateway."""

    __tablename__ = "sandbox_switches"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    down: Mapped[bool]


def sandbox_switch(session: Session, name: str, *, down: bool) -> None:
    """Make the gateway `name` unreachable, or reachable again."""
    if name not in NAMES:
        raise ValueError(f"there is no gateway {name!r}; there are: {', '.join(NAMES)}")
    get_or_create_locked(session, SandboxSwitch, name, down=down).down = down


def is_down(session: Session, name: str) -> bool:
    """Return true if the gateway `name` is switched off."""
    switch = session.get(SandboxSwitch, name)
    return switch is not None and switch.down


def check(session: Session, name: str) -> None:
    """Raise `GatewayDown` if the gateway `name` is switched off."""
    if is_down(session, name):
        raise GatewayDown(f"{name} sandbox is down")
