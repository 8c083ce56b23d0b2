"""The hooks of the documentation site: links beyond docs/, and no request to another host."""

import re

# A link to a file of the repository that is no page of the site.
_OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./[^)\s]+\)")
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|icon|preload|preconnect|dns-prefetch|manifest))"
    r"[^>]*\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)",
    re.IGNORECASE,
)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Replace a link to a file outside of docs/ by its text, which names the file."""
    return _OUTSIDE.sub(r"\1", markdown)


def on_post_page(output: str, **_: object) -> str:
    """Return the page; raise an error if it loads something from another host."""
    loaded = [first or second for first, second in _LOADED.findall(output)]
    if loaded:
        raise ValueError(f"the page loads {', '.join(loaded)}; the site must work offline")
    return output
