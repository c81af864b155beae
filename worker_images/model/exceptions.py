"""Exceptions in files that people write: the reason, and the last day on which each applies."""

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from worker_images.model.schema import Strict, pattern

LINE = pattern(r"^\S(.*\S)?$", "one line of text")
DAY = pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a day, such as 2027-06-30")


def _is_a_day(text: str) -> str:
    date.fromisoformat(text)
    return text


Line = Annotated[str, StringConstraints(pattern=LINE)]
Day = Annotated[str, StringConstraints(pattern=DAY), AfterValidator(_is_a_day)]


class Excepted(Strict):
    """What every exception has."""

    reason: Line
    expires: Day

    def has_expired(self, today: date) -> bool:
        """Whether the last day of the exception is over."""
        return date.fromisoformat(self.expires) < today
