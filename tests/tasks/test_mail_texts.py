"""The texts of the mails."""

import pytest

from events import clock
from tasks.mail_texts import compose, subject_and_body
from tests.tasks.builders import order_cancelled, order_created


@pytest.mark.parametrize(
    "change",
    [
        {"email": "a@x.io, v@y.io"},
        {"email": "a@x.io\r\nBcc: v@y.io"},
        {"customer": "Ada\r\nBcc: v@y.io"},
    ],
)
def test_one_address_never_becomes_two_recipients(change: dict[str, str]) -> None:
    order = order_created().model_copy(update=change)
    with pytest.raises(ValueError, match=r".+"):
        compose(order, order, key="e:email.x", at=clock.now())


def test_an_event_without_a_mail_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="no mail about"):
        subject_and_body.dispatch(object)(order_created())


def test_a_mail_about_an_order_without_an_address_shows_none() -> None:
    old = order_created().model_copy(update={"shipping_address": None})
    assert (
        "To:" not in compose(order_cancelled(), old, key="e:email.x", at=clock.now()).get_content()
    )
