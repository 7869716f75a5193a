"""Texts of the log are in the character set of their column; the server itself says what they are in UTF-8."""

from collections.abc import Callable
from functools import lru_cache

from ingest_ray.sdk.errors import SourceError
from ingest_strategies.jdbc.dialect import Session

UTF8 = frozenset({"utf8", "utf8mb3", "utf8mb4", "ascii"})
WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})  # in which no text is ASCII
PYTHON_WIDE = {"utf16": "utf-16-be", "ucs2": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}
KEPT_TEXTS = 10_000  # of one character set of several bytes

_COLLATIONS = (
    "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability",  # MariaDB from 10.10
    "SELECT id, character_set_name FROM information_schema.collations",
)


class CharacterSets:
    """Of one server. `convert` returns None where the bytes stay as they are."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._converters: dict[str, Callable[[bytes], bytes]] = {}
        self._names: dict[int, str] | None = None

    def name_of(self, collation: int) -> str:
        if self._names is None:
            self._names = self._read_names()
        if collation not in self._names:
            raise SourceError(f"collation {collation} is not known to the server")
        return self._names[collation]

    def _read_names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for sql in _COLLATIONS:
            try:
                rows = self._session.rows(sql)
            except Exception as error:
                if sql is _COLLATIONS[-1]:
                    raise
                del error
                continue
            names |= {int(number): str(name) for number, name in rows if number and name}
        return names

    def converter(self, charset: str | None) -> Callable[[bytes], bytes] | None:
        if charset is None or charset == "binary" or charset in UTF8:
            return None
        if charset not in self._converters:
            self._converters[charset] = self._make(charset)
        return self._converters[charset]

    def _make(self, charset: str) -> Callable[[bytes], bytes]:
        if charset in WIDE:
            codec = PYTHON_WIDE[charset]
            return lambda value: value.decode(codec).encode()
        widths = self._session.rows(
            f"SELECT maxlen FROM information_schema.character_sets WHERE character_set_name = '{charset}'"
        )
        if widths and int(widths[0][0]) == 1:
            table = self._read_table(charset)
            return lambda value: value if value.isascii() else "".join([table[byte] for byte in value]).encode()

        @lru_cache(KEPT_TEXTS)
        def convert(value: bytes) -> bytes:
            return value if value.isascii() else self._ask(charset, value)

        return convert

    def _read_table(self, charset: str) -> list[str]:
        """What each byte of a character set of one byte is."""
        rows = self._session.rows(
            "SELECT " + ", ".join(f"HEX(CONVERT(_{charset} X'{byte:02X}' USING utf8mb4))" for byte in range(256))
        )
        return [bytes.fromhex(str(text)).decode() for text in rows[0]]

    def _ask(self, charset: str, value: bytes) -> bytes:
        rows = self._session.rows(f"SELECT HEX(CONVERT(_{charset} X'{value.hex()}' USING utf8mb4))")
        return bytes.fromhex(str(rows[0][0]))
