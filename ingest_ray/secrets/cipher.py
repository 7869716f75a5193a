"""Seals secrets with Fernet. Imported when a secret is sealed or opened, because the library is slow to import."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Cipher:
    """Seals with the first key, opens with any. Raises `ValueError` for an invalid key."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, token: str) -> str | None:
        """The text, or None where it was sealed with another key."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            return None


def new_key() -> bytes:
    return Fernet.generate_key()
