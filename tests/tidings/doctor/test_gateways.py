"""The doctor on gateways that only pretend."""

import pytest

from tidings.doctor import gateways


@pytest.mark.parametrize(
    ("pretended", "smtp_url", "level", "text"),
    [
        (["no card is charged"], "smtp://127.0.0.1:1025", "ok", "sandbox is used: no card"),
        (["no card is charged"], "smtps://mail.example.org", "notice", "customers get mails"),
        ([], "smtps://mail.example.org", "ok", "no gateway is the sandbox's"),
    ],
)
def test_a_sandbox_is_named_and_noticed_once_mails_leave_this_machine(
    pretended: list[str], smtp_url: str, level: str, text: str
):
    [finding] = gateways.check(pretended, smtp_url)

    assert (finding.level, text in finding.message) == (level, True)
    assert (level == "notice") is (finding.fix != "")
