"""The errors of orders, which the web reports to the customer.

OrderError
├── UnknownOrder        no order has this id
├── UnknownSku          no product has this sku
├── InsufficientStock   less is in stock than was ordered
└── NotCancellable      the order is shipped or cancelled already
"""

from events import TidingsError


class OrderError(TidingsError):
    """A refused command. `field` names the field that is wrong, `status` is the HTTP status."""

    status = 422
    title = "The order cannot be taken"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownOrder(OrderError):
    """No order has this id."""

    status = 404
    title = "No such order"

    def __init__(self, order_id: str) -> None:
        super().__init__(f"no order has the id {order_id!r}")


class UnknownSku(OrderError):
    """No product has this sku."""

    title = "No such product"


class InsufficientStock(OrderError):
    """Less is in stock than was ordered."""

    status = 409
    title = "Not enough in stock"


class NotCancellable(OrderError):
    """The order is shipped or cancelled already."""

    status = 409
    title = "The order cannot be cancelled"

    def __init__(self, number: str, status: str) -> None:
        super().__init__(f"{number} is {status} already")
