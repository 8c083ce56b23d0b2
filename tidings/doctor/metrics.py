"""The metrics of the web: who may read them."""

from collections.abc import Iterator

from tidings.doctor.findings import Finding, ok


def check(access: str) -> Iterator[Finding]:
    """Tell whether `/metrics` asks for the ops login; both may be intended."""
    if access == "login":
        yield ok("metrics", "/metrics asks for the ops login")
    else:
        yield ok(
            "metrics",
            "/metrics is open to all who reach the web (METRICS_ACCESS): figures of queues and "
            "workers, no personal data",
        )
