"""The requests of the API that changes products, as models."""

from pydantic import Field

from tasks.assortment import MAX_RESTOCK, NewProduct, ProductChange
from web.api.ops_schemas import Because, WhyText


class NewProductBody(NewProduct):
    """A product to add, with the operator's reason."""

    why: WhyText


class ProductChangeBody(ProductChange):
    """The changes of a product, with the operator's reason; what is left out stays."""

    why: WhyText


class RestockBody(Because):
    """The pieces to add to the stock of a product, with the operator's reason."""

    quantity: int = Field(ge=1, le=MAX_RESTOCK)
