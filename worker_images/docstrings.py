"""Docstrings as text for reports."""


def summary(docstring: str) -> str:
    """The first paragraph, as one line."""
    return " ".join(docstring.partition("\n\n")[0].split())
