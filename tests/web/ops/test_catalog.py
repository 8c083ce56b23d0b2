"""/ops/catalog: the event catalog."""

from flask.testing import FlaskClient

from tests.web.pages import OPS_HTML, running_services


def test_the_catalog_shows_every_type_with_its_schemas_and_its_subscribers(client: FlaskClient):
    with running_services():
        page = client.get("/ops/catalog", headers=OPS_HTML).text

    assert "<b>OrderCreated</b> <code>order.created</code>" in page
    assert "JSON Schema of v1" in page
    assert "&#34;payment_token&#34;" in page
    assert "inventory.reserve_stock" in page


def test_the_catalog_tells_how_long_each_subscriber_is_retried(client: FlaskClient):
    with running_services():
        page = client.get("/ops/catalog", headers=OPS_HTML).text
        queues = client.get("/ops/queues", headers=OPS_HTML).text

    mails = "10 attempts within 6 min; &#34;not now&#34; for 5 days"
    assert f'email.confirm_receipt <span class="small muted">{mails}</span>' in page
    assert mails in queues
