"""Encryption at rest, with Fernet, of secrets that must be readable again, such as those that sign webhooks."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from common.errors import ConfigurationError


class SecretBox:
    """Encrypts with the first key and decrypts with any of them, so that keys can be rotated."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        """Create a box; `keys` are one or more Fernet keys (32 bytes in urlsafe base64)."""
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])

    def close(self, secret: str) -> bytes:
        """Encrypt a secret."""
        return self._all.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt a secret. Raises ConfigurationError if none of the keys fits."""
        try:
            return self._all.decrypt(sealed).decode()
        except InvalidToken:
            raise ConfigurationError(
                "PARAQUEUE_SECRET_KEY does not contain the key that a secret was encrypted with"
            ) from None

    def renewed(self, sealed: bytes) -> bytes | None:
        """Re-encrypt a secret with the first key; None if that key already encrypts it, or if no key fits."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            try:
                return self._all.rotate(sealed)
            except InvalidToken:
                return None
        return None
