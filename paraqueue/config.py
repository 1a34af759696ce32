"""The service's URL and API key, from arguments, then the environment, then the configuration file.

The file may hold several services as profiles, for example `[profiles.test]`, of which one is chosen by its name.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraqueue.errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "PARAQUEUE_URL"
KEY_VARIABLE = "PARAQUEUE_API_KEY"
PROFILE_VARIABLE = "PARAQUEUE_PROFILE"
FILE_VARIABLE = "PARAQUEUE_CONFIG"
KNOWN = ("url", "api_key")
PROFILES = "profiles"
PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")


@dataclass(frozen=True)
class Config:
    """`url` has no trailing slash; `api_key` is None if authentication is off; `profile` is None for the file's top."""

    url: str
    api_key: str | None
    profile: str | None = None

    def __repr__(self) -> str:
        return f"Config(url={self.url!r}, api_key={'…' if self.api_key else None}, profile={self.profile!r})"


def config_file() -> Path:
    """The path of the configuration file."""
    import platformdirs

    path = os.environ.get(FILE_VARIABLE)
    return Path(path) if path else Path(platformdirs.user_config_dir("paraqueue")) / "config.toml"


def load_config(*, url: str | None = None, api_key: str | None = None, profile: str | None = None) -> Config:
    """Load the configuration; a profile that is named in an argument comes before the environment's URL and key.

    Raises ConfigurationError for a file that is not TOML, an unknown profile or an invalid URL.
    """
    named = profile or os.environ.get(PROFILE_VARIABLE) or None
    kept = _kept(config_file(), named)
    surroundings = {} if profile else {"url": os.environ.get(URL_VARIABLE), "api_key": os.environ.get(KEY_VARIABLE)}
    found_url = url or surroundings.get("url") or kept.get("url") or DEFAULT_URL
    if not found_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{found_url!r} is not a valid service URL: it must start with http:// or https://")
    return Config(found_url.rstrip("/"), api_key or surroundings.get("api_key") or kept.get("api_key"), named)


def _kept(path: Path, profile: str | None) -> dict[str, str]:
    if profile is None:
        return read_file(path)
    profiles = read_profiles(path)
    if profile not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigurationError(f"there is no profile {profile!r} in {path}; profiles: {known}")
    return profiles[profile]


def read_file(path: Path) -> dict[str, str]:
    """The settings at the top of a file; empty if the file does not exist."""
    return _settings(_content(path))


def read_profiles(path: Path) -> dict[str, dict[str, str]]:
    """The settings of each profile in a file."""
    profiles = _content(path).get(PROFILES, {})
    if not isinstance(profiles, dict):
        return {}
    return {name: _settings(values) for name, values in profiles.items() if isinstance(values, dict)}


def _content(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None


def _settings(content: dict[str, Any]) -> dict[str, str]:
    return {name: str(content[name]) for name in KNOWN if name in content}


def change_file(path: Path, name: str, value: str, profile: str | None = None) -> None:
    """Set one setting, of a profile if one is named. Raises ConfigurationError for an unknown setting."""
    if name not in KNOWN:
        raise ConfigurationError(f"unknown setting {name!r}; available: {', '.join(KNOWN)}")
    if profile is not None and not PROFILE_NAME.fullmatch(profile):
        raise ConfigurationError("the name of a profile consists of up to 50 letters, digits, - and _")
    settings, profiles = read_file(path), read_profiles(path)
    target = settings if profile is None else profiles.setdefault(profile, {})
    target[name] = value
    write_file(path, settings, profiles)


def write_file(path: Path, settings: dict[str, str], profiles: dict[str, dict[str, str]] | None = None) -> None:
    """Save the settings, readable only by this user, because one of them is a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = _lines(settings)
    for profile, values in sorted((profiles or {}).items()):
        lines += [f"\n[{PROFILES}.{profile}]\n", *_lines(values)]
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(lines)
    temporary.replace(path)


def _lines(settings: dict[str, str]) -> list[str]:
    # A JSON string is also a valid TOML string.
    return [f"{name} = {json.dumps(settings[name])}\n" for name in KNOWN if settings.get(name)]
