"""Where the client takes the service to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from paraqueue.config import DEFAULT_URL, change_file, load_config, read_file, read_profiles, write_file
from paraqueue.errors import ConfigurationError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "folder" / "config.toml"
    monkeypatch.setenv("PARAQUEUE_CONFIG", str(path))
    monkeypatch.delenv("PARAQUEUE_URL", raising=False)
    monkeypatch.delenv("PARAQUEUE_API_KEY", raising=False)
    return path


def test_arguments_then_environment_then_file_then_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load_config().url, load_config().api_key) == (DEFAULT_URL, None)
    write_file(file, {"url": "https://file.example/", "api_key": "pq_live_file"})
    assert (load_config().url, load_config().api_key) == ("https://file.example", "pq_live_file")
    monkeypatch.setenv("PARAQUEUE_URL", "https://environment.example")
    monkeypatch.setenv("PARAQUEUE_API_KEY", "pq_live_environment")
    assert (load_config().url, load_config().api_key) == ("https://environment.example", "pq_live_environment")
    config = load_config(url="http://argument.example", api_key="pq_live_argument")
    assert (config.url, config.api_key) == ("http://argument.example", "pq_live_argument")


def test_only_its_owner_reads_the_file(file: Path) -> None:
    write_file(file, {"api_key": 'pq_live_with "quotes" and \\'})
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_file(file) == {"api_key": 'pq_live_with "quotes" and \\'}
    assert [item.name for item in file.parent.iterdir()] == [file.name]


@pytest.mark.usefixtures("file")
def test_the_key_is_not_in_a_traceback() -> None:
    assert "pq_live_x" not in repr(load_config(api_key="pq_live_x"))


def test_what_is_wrong_is_said(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="must start with http"):
        load_config(url="example.com")
    file.parent.mkdir()
    file.write_text("url = nonsense")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_config()


def test_profiles_are_services_with_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_file(file, "url", "https://file.example")
    change_file(file, "url", "https://test.example", "test")
    change_file(file, "api_key", "pq_live_test", "test")
    change_file(file, "url", "https://other.example", "other-1")
    assert read_profiles(file)["test"] == {"url": "https://test.example", "api_key": "pq_live_test"}
    assert (load_config().url, load_config().profile) == ("https://file.example", None)
    monkeypatch.setenv("PARAQUEUE_PROFILE", "other-1")
    assert (load_config().url, load_config().api_key) == ("https://other.example", None)
    monkeypatch.setenv("PARAQUEUE_URL", "https://environment.example")
    assert load_config().url == "https://environment.example"
    chosen = load_config(profile="test")
    assert (chosen.url, chosen.api_key) == ("https://test.example", "pq_live_test"), "an argument comes first"


def test_wrong_profiles_are_refused(file: Path) -> None:
    change_file(file, "url", "https://test.example", "test")
    with pytest.raises(ConfigurationError, match=r"no profile 'tset' in .*; profiles: test"):
        load_config(profile="tset")
    with pytest.raises(ConfigurationError, match="letters, digits"):
        change_file(file, "url", "https://x.example", "a]b")
    with pytest.raises(ConfigurationError, match="unknown setting"):
        change_file(file, "colour", "blue")
