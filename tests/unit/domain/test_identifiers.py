"""Ids keep their shape, and survive a client that keeps numbers as doubles (contract/api.md 1.5)."""

import json

import pytest

from hwdash.domain.identifiers import new_blob_key, new_long_id, new_product_id

DRAWS = 2000


def as_javascript_prints(number: int) -> int:
    """What a client of doubles sends back: the shortest text that reads as the same double, as Python prints it too."""
    text = repr(float(json.dumps(number)))
    digits, _, exponent = text.partition("e+")
    if not exponent:
        return int(float(text))
    whole, _, fraction = digits.partition(".")
    return int((whole + fraction).ljust(len(whole) + int(exponent), "0"))


@pytest.mark.parametrize(("draw", "length"), [(new_product_id, 17), (new_long_id, 19)])
def test_ids_survive_doubles(draw, length: int) -> None:
    for number in (draw() for _ in range(DRAWS)):
        assert len(str(number)) == length
        assert as_javascript_prints(number) == number


def test_ids_and_keys_are_drawn_at_random() -> None:
    for draw in (new_product_id, new_long_id, new_blob_key):
        assert len({draw() for _ in range(DRAWS)}) == DRAWS
