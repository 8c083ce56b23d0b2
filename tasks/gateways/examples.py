"""Example answers of the gateways, with which a dry run goes on: by method, and by their names."""

from events.dry_runs.outside import Examples
from tasks.gateways.ports import Charged, Declined, Parcel

FROM_CALL = "(from the call)"
_CHARGED, _PARCEL = Charged(FROM_CALL), Parcel(carrier=FROM_CALL, tracking=FROM_CALL)

PAYMENTS: Examples = {
    "charge": {"charged": _CHARGED, "declined": Declined("the card was declined")},
    "close": {"closed": None, "charged": _CHARGED},
    "refund": {"refunded": FROM_CALL},
}
CARRIER: Examples = {
    "hand_over": {"taken": _PARCEL},
    "close": {"closed": None, "taken": _PARCEL},
    "recall": {"recalled": None},
}
MAILER: Examples = {"send": {"sent": None}, "send_all": {"sent": [None]}}
WEBHOOK: Examples = {"post": {"accepted": None}}
