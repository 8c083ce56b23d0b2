"""The ops logins: several, with roles, with hashed passwords, and those that Flower can take."""

import pytest
from werkzeug.security import generate_password_hash

from events.errors import BadValue
from tasks.ops_login import Login, Role, flower_logins, parse

HASH = generate_password_hash("correct horse", "pbkdf2:sha256:1000")
SCRYPT = generate_password_hash("correct horse", "scrypt:1024:8:1")


@pytest.mark.parametrize(
    ("text", "logins"),
    [
        ("", []),
        ("ada:correct horse", [("ada", "correct horse", "administrator")]),
        ("ada:a:b:c", [("ada", "a:b:c", "administrator")]),
        ("ada:a:viewer:administrator", [("ada", "a:viewer", "administrator")]),
        ("ada:viewer", [("ada", "viewer", "administrator")]),
        ("bob:sesame:viewer", [("bob", "sesame", "viewer")]),
        (f"ada:{HASH}", [("ada", HASH, "administrator")]),
        (
            f"ada:{SCRYPT}:operator,bob:x:y:viewer,eve:sesame",
            [
                ("ada", SCRYPT, "operator"),
                ("bob", "x:y", "viewer"),
                ("eve", "sesame", "administrator"),
            ],
        ),
        (
            f"ada:{HASH},bob:{SCRYPT}",
            [("ada", HASH, "administrator"), ("bob", SCRYPT, "administrator")],
        ),
    ],
)
def test_a_login_has_a_role_and_one_without_is_an_administrator(
    text: str, logins: list[tuple[str, str, str]]
):
    assert parse(text) == [Login(user, password, Role(role)) for user, password, role in logins]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ada:x,", "has several logins, of which number 2 has no colon"),
        ("ada:x,bob", "of which number 2 has no colon"),
        ("ada:x, bob:y", "of which number 2 begins or ends with a space"),
        ("ada:x,ada:y:viewer", "has the user of login number 2 twice"),
        ("ada:x,bob:y:veiwer", "of which number 2 has a role that is written in another way"),
        ("bob:x:Viewer", "has a role that is written in another way"),
        ("bob:x:admin", "has a role that is written in another way"),
        *(
            (f"bob:x:{role}", "has a role that is written in another way")
            for role in ("operater", "veiwer", "viewers", "administrater", "Oprator")
        ),
        ("bob::viewer", "has no password"),
        ("bob: :viewer", "has no password"),
        ("bob:$2y$05$salt", "has a hash of another program"),
        ("bob:$apr1$salt$x:viewer", "has a hash of another program"),
        ("ada:x,bob:{SHA}salt=:viewer", "number 2 has a hash of another program"),
        ("bob:$argon2id$v=19$m=65536,t=3,p=4$salt$x", "number 1 has a hash of another program"),
        ("ada:x:viewer;bob:y:operator", "has no comma after a role"),
        ("ada:x:viewer bob:y:operator", "has no comma after a role"),
        ("bob:scrypt:32768:8:1:viewer", "has a damaged hash"),
        ("bob:scrypt:32768:8:1$salt", "has a damaged hash"),
        ("bob:pbkdf2:sha256:0$salt$00", "has a damaged hash"),
        ("bob:pbkdf2:sha256:99999999999$salt$00", "has a damaged hash"),
        ("bob:scrypt:3:8:1$salt$00", "has a hash with costs that cannot be computed"),
        ("bob:scrypt:4194304:8:1$salt$00", "has a hash with costs that cannot be computed"),
        ("bob:scrypt:32768:0:1$salt$00", "has a hash with costs that cannot be computed"),
        ("bob:scrypt:16:8:1$salt$00", "has a hash with costs that cannot be computed"),
        ("bob:scrypt:0:8:1$salt$00", "has a hash with costs that cannot be computed"),
    ],
)
def test_a_login_that_may_be_a_mistake_is_refused_without_its_password(text: str, reason: str):
    with pytest.raises(BadValue) as raised:
        parse(text)

    assert reason in raised.value.reason
    assert "salt" not in str(raised.value)
    assert "veiwer" not in str(raised.value)


def test_flower_gets_the_logins_whose_password_it_can_compare_but_those_of_viewers():
    logins = f"ada:{HASH},bob:sesame:operator,eve:open:administrator,max:see:viewer"

    assert flower_logins(logins) == "bob:sesame,eve:open"
    assert flower_logins("ada:correct horse") == "ada:correct horse"
    assert flower_logins("bob:x:viewer") == flower_logins("") == ""


def test_each_role_may_do_what_the_one_before_it_may():
    viewer, operator, administrator = Role

    assert [administrator.covers(each) for each in Role] == [True, True, True]
    assert [operator.covers(each) for each in Role] == [True, True, False]
    assert [viewer.covers(each) for each in Role] == [True, False, False]
