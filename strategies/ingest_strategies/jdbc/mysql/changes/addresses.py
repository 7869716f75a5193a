"""UUID, INET4 and INET6 of MariaDB: the log has their bytes, a SELECT their texts."""

from collections.abc import Callable

LENGTHS = {"uuid": 16, "inet4": 4, "inet6": 16}


def uuid_text(value: bytes) -> bytes:
    text = value.ljust(16, b"\0").hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()


def inet4_text(value: bytes) -> bytes:
    return ".".join(str(byte) for byte in value.ljust(4, b"\0")).encode()


def inet6_text(value: bytes) -> bytes:
    """As MariaDB writes it: the longest run of zeros as `::`, also of one; the first of equal ones."""
    raw = value.ljust(16, b"\0")
    words = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 16, 2)]
    begin, length = longest_zeros(words)
    is_ipv4 = begin == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF))
    text, at = "", 0
    while at < 8:
        if at == begin:
            text += "::" if at == 0 else ":"
            at += length
        elif at == 6 and is_ipv4:
            return (text + inet4_text(raw[12:]).decode()).encode()
        else:
            text += f"{words[at]:x}" + (":" if at < 7 else "")
            at += 1
    return text.encode()


def longest_zeros(words: list[int]) -> tuple[int, int]:
    """Where the first longest run of zeros begins, and its length; (-1, 0) without one."""
    best, begin = (-1, 0), -1
    for at, word in enumerate([*words, 1]):
        if word == 0 and begin < 0:
            begin = at
        elif word and begin >= 0:
            if at - begin > best[1]:
                best = (begin, at - begin)
            begin = -1
    return best


TEXTS: dict[str, Callable[[bytes], bytes]] = {"uuid": uuid_text, "inet4": inet4_text, "inet6": inet6_text}
