"""Secrets that must be read again (webhook secrets sign every message), encrypted at rest with Fernet."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from common.errors import ConfigurationError


class SecretBox:
    """Encrypts with the first key; opens what any of the keys encrypted, so that keys can be rotated."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        """`keys` are Fernet keys: 32 bytes in urlsafe base64. At least one."""
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])

    def close(self, secret: str) -> bytes:
        """The secret, encrypted."""
        return self._all.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The secret again. Raises ConfigurationError where none of the keys fits."""
        try:
            return self._all.decrypt(sealed).decode()
        except InvalidToken:
            raise ConfigurationError(
                "PARAQUEUE_SECRET_KEY does not contain the key that a secret was encrypted with"
            ) from None

    def renewed(self, sealed: bytes) -> bytes | None:
        """The secret under the first key, where another key holds it; else None: nothing to do, or no key fits."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            try:
                return self._all.rotate(sealed)
            except InvalidToken:
                return None
        return None
