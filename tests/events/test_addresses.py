"""The addresses of database and broker: what is accepted, and what is joined."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from events import Database
from events.addresses import (
    accepts_any_certificate,
    check_broker_url,
    check_database_url,
    parse_database_url,
    tls_hosts,
)
from events.dialects import connection_parameters
from events.errors import BadValue
from events.relay.wakeup import wakeup


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://ada:x@db.example.org/shop", "postgresql"),
        ("POSTGRES://ada:x@db.example.org/shop", "postgresql"),
        ("postgresql+psycopg://ada:x@db.example.org/shop", "postgresql+psycopg"),
        ("postgres+psycopg://ada:x@db.example.org/shop", "postgresql+psycopg"),
    ],
)
def test_an_address_of_postgresql_may_begin_as_heroku_and_render_write_it(url: str, driver: str):
    found = make_url(check_database_url(url))

    assert (found.drivername, found.host, found.password) == (driver, "db.example.org", "x")


@pytest.mark.parametrize(
    "url",
    [
        "shop.sqlite",
        "postgresql",
        "postgresql://ada:pa/ss@host:54a2/shop",
        "postgresql+psycopg2://ada@host/shop",
        "postgresql+asyncpg://ada@host/shop",
        "postgresql://host/shop?sslmod=require",
        "postgresql://host/shop?sslmode=on",
        "postgresql://host/shop?connect_timeout=soon",
        "postgresql://host/shop?prepare_threshold=many",
        "postgresql://host/shop?sslmode=require&sslmode=disable",
        "postgresql://host/shop?client_encoding=latin1",
        "postgresql://host/shop?autocommit=true",
        "postgresql://a,b/shop?port=1,2,3",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://var/tidings.sqlite",
        "sqlite:///var/tidings.sqlite?timeout=5",
        "sqlite:///file:tidings?mode=memory&uri=true",
        "postgresql://ada:p@ss@host/shop",
        "postgresql://ada:p@ss,x@host/shop",
        "postgresql://ada:p@ss%2Dx@host/shop",
        "postgresql://ada:pass@@host/shop",
        "postgresql://ada:50%ab@host/shop",
        "postgresql://ada:pass@@one,two/shop",
        "postgresql://ada@host /shop",
        "postgresql://ada@one;two/shop",
        "postgresql://one,tw$o/shop",
        "postgresql://one:5432,two:99999/shop",
        "postgresql://one:5432,[::1]]/shop",
        "postgresql:///shop?host=[::1]:5432&host=two",
        "postgresql://a..b/shop",
        "postgresql://ada@host:0/shop",
        "postgresql://ada@host:65536/shop",
        "mysql://ada@host/shop",
        "sqlite:///~/x.db",
        "sqlite:///.",
        "sqlite:///no-such-folder/",
        "sqlite:////dev/null",
        "sqlite:////etc/passwd/x.db",
        "postgresql://",
        "postgresql://ada@host",
        "postgresql://$HOST/shop",
        "postgresql://host/shop?sslrootcert=~/root.pem",
    ],
)
def test_an_address_that_cannot_work_is_refused_with_a_fix(url: str):
    with pytest.raises(BadValue) as raised:
        check_database_url(url)

    assert raised.value.fix


def test_what_an_address_leaves_to_libpq_may_be_in_its_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGDATABASE", "shop")

    for url in ("postgresql://", "postgresql://host", "postgresql:///shop"):
        assert make_url(check_database_url(url)).drivername == "postgresql"


def test_our_own_options_join_those_of_the_address():
    url = "postgresql://host/shop?options=-csearch_path%3Dtidings&connect_timeout=20"

    found = connection_parameters(parse_database_url(url), "-c lock_timeout=200")

    assert "-csearch_path=tidings" in found["options"]
    assert "-c idle_in_transaction_session_timeout=60000" in found["options"]
    assert "-c lock_timeout=200" in found["options"]
    assert (found["connect_timeout"], found["keepalives_idle"]) == ("20", 10)


def test_options_of_libpqs_own_variables_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGOPTIONS", "-c search_path=tidings")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "30")

    found = connection_parameters(parse_database_url("postgresql://host/shop"))

    assert "search_path=tidings" in found["options"]
    assert "connect_timeout" not in found


@pytest.mark.parametrize(("value", "threshold"), [("0", 0), ("10", 10), ("none", None)])
def test_the_prepare_threshold_of_the_address_is_a_number(value: str, threshold: int | None):
    url = parse_database_url(f"postgresql://host/shop?prepare_threshold={value}")

    assert connection_parameters(url)["prepare_threshold"] == threshold


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:x@one:5433,two:5434/shop?target_session_attrs=read-write",
        "postgresql://ada:x@/shop?host=one:5433&host=two:5434&target_session_attrs=read-write",
        "postgresql://ada:x@/shop?host=one,two&port=5433,5434&target_session_attrs=read-write",
    ],
)
def test_several_hosts_are_tried_one_after_the_other(url: str):
    found = connection_parameters(parse_database_url(check_database_url(url)))

    assert (found["host"], found["port"], found["user"]) == ("one,two", "5433,5434", "ada")
    assert found["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("%2Fvar%2Frun%2Fpostgresql", "/var/run/postgresql", None),
        ("ada:x@%2Fcloudsql%2Fshop%3Aeurope%3Adb", "/cloudsql/shop:europe:db", None),
        ("ada:a%2Cb/c@%2Ftmp", "/tmp", None),
        ("[fdaa:0:1::3],[::1]:5433", "fdaa:0:1::3,::1", ",5433"),
        ("ada:x@[2001:db8::1]:5432,two", "2001:db8::1,two", "5432,"),
        ("ada:a,b@one", "one", None),
        ("ada:x@%40shop", "@shop", None),
        ("[fe80::1%25eth0]:5433", "fe80::1%eth0", "5433"),
    ],
)
def test_hosts_may_be_written_as_libpq_writes_them(written: str, host: str, port: str | None):
    found = connection_parameters(parse_database_url(check_database_url(f"postgres://{written}/d")))

    assert (found["host"], found.get("port"), found["dbname"]) == (host, port, "d")


def _with_query(url: str, **query: Any) -> str:
    return make_url(url).update_query_dict(query).render_as_string(hide_password=False)


def test_a_search_path_in_the_address_is_where_the_tables_are(postgres_url: str):
    admin = Database(postgres_url)
    with admin.transaction() as session:
        session.execute(text("CREATE SCHEMA tidings"))
    database = Database(_with_query(postgres_url, options="-csearch_path=tidings"))

    with database.transaction() as session:
        session.execute(text("CREATE TABLE here (id int)"))

    with database.relaxed() as session, database.reading() as reading:
        where = text("SELECT schemaname FROM pg_tables WHERE tablename = 'here'")
        assert session.scalar(where) == "tidings"
        assert reading.scalar(text("SHOW search_path")) == "tidings"
        assert session.scalar(text("SHOW synchronous_commit")) == "off"
        assert session.scalar(text("SHOW timezone")).lower() == "utc"
    database.close()
    admin.close()


@pytest.mark.parametrize("threshold", ["0", "5", "none"])
def test_a_prepare_threshold_in_the_address_opens_the_database(threshold: str, postgres_url: str):
    database = Database(_with_query(postgres_url, prepare_threshold=threshold))

    with database.transaction() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.close()


def test_the_relay_listens_on_the_host_that_answers_of_several(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    found = make_url(postgres_url)
    host = found.query.get("host") or found.host
    several = found.set(host=None, port=None).update_query_dict(
        {"host": f"127.0.0.1,{host}", "port": f"1,{found.port or 5432}"}
    )
    database = Database(several.render_as_string(hide_password=False))
    listening: Any = wakeup(database)

    connection = listening._listen()

    assert connection.execute("SELECT pg_listening_channels()").fetchone() == ("tidings",)
    connection.close()
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://:x@host/0?ssl_ca_certs=/etc/ca.pem",
        "redis://:p@ss@[::1]:6379/0",
        "redis+socket:///run/broker.sock?virtual_host=2",
        "amqp://ada:x@host/shop?heartbeat=30",
        f"redis+socket://{Path('/run/broker.sock')}",
        "amqp://ada:x@host:5672//",
        "amqps://ada:x@host/shop",
        "amqp://ada:x@one//;amqp://ada:x@two//",
    ],
)
def test_the_brokers_that_are_supported_are_taken_as_they_are(url: str):
    assert check_broker_url(url) == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sentinel://host:26379/0", "Redis Sentinel is not supported"),
        ("valkey://host:6379/0", "write redis://"),
        ("memory://", "write redis://"),
        ("sqs://key:secret@", "write redis://"),
        ("127.0.0.1:6379", "write redis://"),
        ("redis://host:6379/first", "write redis://"),
        ("redis://", "write redis://"),
        ("redis://host:637a/0", "percent-encode"),
        ("redis://broker..example.org/0", "percent-encode"),
        ("amqp://ada:se#same@host//", "percent-encode"),
        ("redis://host/0\n", "write redis://"),
        ("redis://one/0;rediss://two/0", "name brokers alike"),
        ("redis://one/0;amqp://two//", "name brokers alike"),
        ("amqps://host//?ssl_cert_reqs=none", "SSL_CERT_FILE"),
        ("rediss://host/0?ssl_cert_reqs=maybe", "leave ssl_cert_reqs out"),
        ("redis+socket://run/broker.sock", "redis+socket:///path"),
        ("redis+socket:///run/broker.sock?db=2", "leave it out"),
        ("redis+socket:///run/broker.sock?virtual_host=two", "digits"),
        ("redis://host/0?socket_timeout=5", "leave it out"),
        ("redis://host/0?ssl_cert_reqs=none", "leave it out"),
        ("rediss://host/0?timeout=", "leave it out"),
        ("rediss://host/0?ssl_ca_certs=a&ssl_ca_certs=b", "give it once"),
        ("redis://host/\u0663", "write redis://"),
        ("redis://one,two/0", "between two URLs"),
        ("amqp://one//?heartbeat=30s", "digits"),
        ("redis://${BROKER}/0", "write redis://"),
        ("redis+socket:///~/broker.sock", "whole path"),
        ("rediss://host/0?ssl_ca_certs=~/ca.pem", "whole path"),
        ("amqp://one//?connect_timeout=5", "leave it out"),
        ("redis://ada:12#34@host/0", "percent-encode"),
        ("amqp://one//#two", "percent-encode"),
        (f"redis://{64 * 'a'}/0", "write redis://"),
        ("redis://one..two/0", "write redis://"),
        ("redis://:50%ab@host/0", "% is %25"),
    ],
)
def test_a_broker_that_is_not_supported_is_refused_with_a_fix(url: str, told: str):
    with pytest.raises(BadValue) as raised:
        check_broker_url(url)

    assert told in raised.value.fix


def test_a_broker_without_tls_has_no_certificate_to_check():
    assert tls_hosts("redis://host/0") == ()
    assert tls_hosts("amqps://one//;amqps://two//") == ("one", "two")
    assert accepts_any_certificate("rediss://host/0?ssl_cert_reqs=none")
    assert not accepts_any_certificate("rediss://host/0")
