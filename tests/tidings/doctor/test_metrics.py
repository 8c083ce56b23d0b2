"""The access to /metrics, as the doctor tells it."""

import pytest

from tidings.doctor import metrics


@pytest.mark.parametrize(("access", "told"), [("open", "is open to all"), ("login", "asks for")])
def test_the_access_to_the_metrics_is_told(access: str, told: str):
    [finding] = metrics.check(access)

    assert finding.level == "ok"
    assert told in finding.message
