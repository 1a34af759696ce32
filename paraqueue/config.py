"""Where the service is and with which key: arguments, then the environment, then the configuration file."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from paraqueue.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "PARAQUEUE_URL"
KEY_VARIABLE = "PARAQUEUE_API_KEY"
FILE_VARIABLE = "PARAQUEUE_CONFIG"
KNOWN = ("url", "api_key")


@dataclass(frozen=True)
class Config:
    """`url` without a slash at its end; `api_key` None where authentication is off."""

    url: str
    api_key: str | None

    def __repr__(self) -> str:
        return f"Config(url={self.url!r}, api_key={'…' if self.api_key else None})"


def config_file() -> Path:
    """Where the configuration is kept."""
    told = os.environ.get(FILE_VARIABLE)
    return Path(told) if told else Path(platformdirs.user_config_dir("paraqueue")) / "config.toml"


def load_config(*, url: str | None = None, api_key: str | None = None) -> Config:
    """What to use. Raises ConfigurationError for a file that is not TOML, or a URL that is none."""
    kept = read_file(config_file())
    found_url = url or os.environ.get(URL_VARIABLE) or kept.get("url") or DEFAULT_URL
    if not found_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{found_url!r} is not a valid service URL: it must start with http:// or https://")
    return Config(found_url.rstrip("/"), api_key or os.environ.get(KEY_VARIABLE) or kept.get("api_key"))


def read_file(path: Path) -> dict[str, str]:
    """The settings in a file; none where there is no file."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    return {name: str(told[name]) for name in KNOWN if name in told}


def write_file(path: Path, settings: dict[str, str]) -> None:
    """Keep the settings, readable for this user alone: one of them is a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A JSON string is a TOML string.
    lines = [f"{name} = {json.dumps(settings[name])}\n" for name in KNOWN if settings.get(name)]
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(lines)
    temporary.replace(path)
