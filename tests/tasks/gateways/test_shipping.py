"""The shipping sandbox."""

import pytest
from sqlalchemy import select

from events import Database, reading
from tasks.gateways.ports import GatewayDown, GatewayError
from tasks.gateways.shipping import SandboxCarrier, SandboxParcel
from tests.tasks.builders import BERLIN, lines, switched


def test_the_same_key_is_the_same_parcel(any_database: Database) -> None:
    first, again, other = (
        SandboxCarrier().hand_over(key, address=BERLIN, lines=lines(MUG=1))
        for key in ("k-1", "k-1", "k-2")
    )
    assert first == again != other


def test_closing_a_key_returns_its_parcel_or_prevents_one(any_database: Database) -> None:
    assert SandboxCarrier().hand_over(
        "k-1", address=BERLIN, lines=lines(MUG=1)
    ) == SandboxCarrier().close("k-1")
    assert SandboxCarrier().close("k-2") is None
    with pytest.raises(GatewayError, match="this key was closed"):
        SandboxCarrier().hand_over("k-2", address=BERLIN, lines=lines(MUG=1))


def test_an_unknown_parcel_cannot_be_recalled(database: Database) -> None:
    with pytest.raises(GatewayError, match="has no parcel T9"):
        SandboxCarrier().recall("k-1", tracking="T9")


def test_while_it_is_down_it_takes_nothing(database: Database) -> None:
    switched("shipping", down=True)
    for call in (
        lambda: SandboxCarrier().hand_over("k-1", address=BERLIN, lines=lines(MUG=1)),
        lambda: SandboxCarrier().close("k-1"),
        lambda: SandboxCarrier().recall("k-1", tracking="T1"),
    ):
        with pytest.raises(GatewayDown, match="shipping sandbox is down"):
            call()
    with reading() as session:
        assert session.scalars(select(SandboxParcel)).all() == []
