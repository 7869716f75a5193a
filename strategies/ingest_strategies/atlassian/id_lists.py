"""Lists of ids as short text: ascending, each as the difference to the one before, in base 36. 400 ids take one to two KiB."""

from collections.abc import Iterable, Sequence

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def encode_ids(ids: Iterable[int]) -> str:
    """`[100, 103, 110]` -> `2s 3 7`."""
    parts, last = [], 0
    for number in sorted(ids):
        parts.append(base36(number - last))
        last = number
    return " ".join(parts)


def decode_ids(text: str) -> Sequence[int]:
    ids, last = [], 0
    for part in text.split():
        last += int(part, 36)
        ids.append(last)
    return ids


def base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"
