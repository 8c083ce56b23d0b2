"""The errors of orders and products, which the web reports to the customer.

OrderError
├── UnknownOrder        no order has this id
├── UnknownSku          no product with this sku is sold
├── TooMany             more of one product than an order may have
├── MixedCurrencies     the products have prices in different currencies
├── AmountTooLarge      the total, or a stock, is larger than can be stored exactly
├── UnknownProduct      no product, sold or not, has this sku
├── ProductExists       a product with this sku is there already
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
    """No product with this sku is sold."""

    title = "No such product"


class TooMany(OrderError):
    """More of one product than an order may have, in one item or in several."""

    title = "Too many of one product"


class MixedCurrencies(OrderError):
    """The products of an order have prices in different currencies."""

    title = "Two currencies"


class AmountTooLarge(OrderError):
    """A total, or a stock, is larger than every program can count exactly."""

    title = "Too large"


class UnknownProduct(OrderError):
    """No product, sold or not, has this sku."""

    status = 404
    title = "No such product"

    def __init__(self, sku: str) -> None:
        super().__init__(f"there is no product {sku}", field="sku")


class ProductExists(OrderError):
    """A product with this sku is there already."""

    status = 409
    title = "The product exists"

    def __init__(self, sku: str) -> None:
        super().__init__(f"there is a product {sku} already; change that one", field="sku")


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
