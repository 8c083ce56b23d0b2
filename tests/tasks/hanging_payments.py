"""The workers of the shop with a payment gateway that takes the money and then hangs.

Run as `celery -A tests.tasks.hanging_payments worker`. It answers once the file `GATE` is there.
"""

import os
import time
from pathlib import Path
from typing import Any

from tasks import gateways
from tasks.celery import app
from tasks.gateways.payment import SandboxPayments

__all__ = ["app"]


class HangingPayments(SandboxPayments):
    """The sandbox over a line that breaks after each request."""

    def charge(self, key: str, **request: Any) -> Any:
        """Charge, and return the answer when the gate is open."""
        answer = super().charge(key, **request)
        gate = Path(os.environ["GATE"])
        gate.with_suffix(".reached").touch()
        while not gate.exists():
            time.sleep(0.05)
        return answer


gateways.payments = HangingPayments
