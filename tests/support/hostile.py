"""JSON values for tests of readers: all types, and texts that break terminals and paths."""

from hypothesis import settings
from hypothesis import strategies as st

# Hypothesis reads Unicode's tables for any larger alphabet, which takes seconds.
TEXTS = st.text("aAk\u212a0/.=: \n\0\x1b\x7f\u202eé\ud800", max_size=6)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0.5, -1e300])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
# One reader's test takes less than a second, and has the same examples each time.
bounded = settings(max_examples=60, deadline=None, database=None, derandomize=True)


@st.composite
def changed(draw: st.DrawFn, value: object) -> object:
    """The value with another one at a random place; a key or an item may be new."""
    places: list[str | int] = []
    if isinstance(value, dict):
        places = [*value, draw(TEXTS)]
    elif isinstance(value, list):
        places = [*range(len(value) + 1)]
    # The value itself is one of its places.
    index = draw(st.integers(0, len(places)))
    if index == len(places):
        return draw(VALUES)
    place = places[index]
    if isinstance(value, dict):
        return {**value, place: draw(changed(value.get(place)))}
    assert isinstance(value, list)
    assert isinstance(place, int)
    old = value[place] if place < len(value) else None
    return [*value[:place], draw(changed(old)), *value[place + 1 :]]
