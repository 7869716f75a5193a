"""How secrets are sealed: Fernet. Imported when a secret is sealed or opened, because the library is slow to import."""

from cryptography.fernet import Fernet, InvalidToken


class Cipher:
    """Raises `ValueError` for a key that is none."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, token: str) -> str | None:
        """The text, or None where another key has sealed it."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            return None


def new_key() -> bytes:
    return Fernet.generate_key()
