"""Addresses of web sites that a setting gives."""

from pydantic import AnyHttpUrl, TypeAdapter, ValidationError

_HTTP = TypeAdapter(AnyHttpUrl)


def checked_address(text: str) -> str:
    """Return the base address of a site in its normal form, without a slash at its end.

    A path in front of all pages is allowed. Raises `ValueError` for all else, in words.
    """
    write = "write https://shop.example.com or https://example.com/shop"
    if text != text.strip() or any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError(f"there is white space in it; {write}")
    try:
        url = _HTTP.validate_python(text)
    except ValidationError:
        raise ValueError(f"it is no address of http or https; {write}") from None
    if url.username is not None or url.password is not None:
        raise ValueError(f"it holds a login, which every mail would show; {write}")
    if url.query is not None or url.fragment is not None:
        raise ValueError(f"nothing may follow its path; {write}")
    return str(url).rstrip("/")
