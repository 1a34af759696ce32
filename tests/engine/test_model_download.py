"""Downloads from a hub on loopback: two at once, killed, broken off, wrong, missing, without room."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter, namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import ConfigurationError, ModelUnavailable
from tests.engine.fake_hub import COMMIT, FakeHub, fake_hub
from tests.waiting import until
from worker.engine.bundles import files
from worker.engine.bundles.bundles import BundlePaths, locate
from worker.engine.bundles.definitions import PARTS, BundleSpec, bundle_spec
from worker.engine.bundles.download import download
from worker.engine.bundles.hubs import HubAccess

NAME = "tested"
FILES = {"asr": ("am.mvn", "config.yaml", "model.pt", "tokens.json"), "vad": ("am.mvn", "config.yaml", "model.pt")}
FILES["punc"] = ("config.yaml", "model.pt", "tokens.json")


@pytest.fixture
def hub(demo_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(files, "RETRY_SECONDS", 0.0)
    with fake_hub({f"org/{part}": demo_bundle / part for part in PARTS}) as hub:
        yield hub


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """A models directory with a definition in it that names two sources for each part."""
    lines = [f'name = "{NAME}"', 'languages = ["zh"]']
    for part in PARTS:
        for source in ("modelscope", "huggingface"):
            revision = "v1" if source == "modelscope" else COMMIT
            lines += [f"[[{part}]]", f'hub = "{source}"', f'repository = "org/{part}"', f'revision = "{revision}"']
            lines += [f"[{part}.files]", *(f'"{name}" = {{}}' for name in FILES[part])]
    (tmp_path / f"{NAME}.toml").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def get(
    hub: FakeHub, models_dir: Path, *hubs: str, messages: list[str] | None = None, mirrors: str = ""
) -> BundlePaths:
    spec: BundleSpec = bundle_spec(NAME, models_dir)
    say = (messages if messages is not None else []).append
    return download(spec, hubs or ("modelscope",), models_dir, HubAccess(hub.url, hub.url), say, mirrors)


def same(hub: FakeHub, paths: BundlePaths) -> bool:
    """Whether every file is the hub's, and nothing partial is left."""
    folders = {part: getattr(paths, part) for part in PARTS}
    assert not [path for folder in folders.values() for path in folder.rglob("*.part")]
    return all(
        (folders[part] / name).read_bytes() == (hub.repositories[f"org/{part}"] / name).read_bytes()
        for part in PARTS
        for name in FILES[part]
    )


def test_a_download_is_whole_and_stamped(hub: FakeHub, models_dir: Path) -> None:
    messages: list[str] = []
    paths = get(hub, models_dir, messages=messages)
    assert same(hub, paths)
    assert paths.revision == "v1"
    assert paths.card.languages == ("zh",)
    assert [line for line in messages if "ModelScope" in line] == messages
    assert len(messages) == 3
    manifest = json.loads((paths.asr / ".files.json").read_text())
    weights = (paths.asr / "model.pt").read_bytes()
    assert manifest["model.pt"] == {"size": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    hub.requests.clear()
    assert get(hub, models_dir) == paths
    assert not hub.requests
    (paths.vad / "model.pt").unlink()
    assert same(hub, get(hub, models_dir))
    assert [request.name for request in hub.requests] == ["model.pt"]


def test_hugging_face_gives_the_commit(hub: FakeHub, models_dir: Path) -> None:
    paths = get(hub, models_dir, "huggingface")
    assert same(hub, paths)
    assert paths.revision == COMMIT
    shutil.rmtree(paths.asr.parent)
    again = get(hub, models_dir, "huggingface", mirrors="asr=org/asr@main,vad=org/vad@main,punc=org/punc@main")
    assert again.revision == COMMIT  # a branch is resolved, and its commit downloaded and reported


@pytest.mark.parametrize("stop", [0, 1, 1000, 200_000])
def test_a_broken_download_is_continued(hub: FakeHub, models_dir: Path, stop: int) -> None:
    hub.faults.broken_after["model.pt"] = stop
    assert same(hub, get(hub, models_dir))
    first, second = hub.requests_for("model.pt")[:2]
    assert (first.begun, second.begun) == (0, stop)


def test_a_wrong_file_is_named_and_never_stands_in_its_place(hub: FakeHub, models_dir: Path) -> None:
    hub.faults.wrong.add("model.pt")
    with pytest.raises(ModelUnavailable, match=r"model\.pt: its sha256 is [0-9a-f]{64} instead of") as raised:
        get(hub, models_dir)
    assert "asr from ModelScope, org/asr at v1" in raised.value.message
    assert "by hand" in raised.value.message
    assert len(hub.requests_for("model.pt")) == files.TRIES
    assert not (models_dir / NAME / "asr" / "model.pt").exists()
    with pytest.raises(ModelUnavailable, match=r"asr/model\.pt is missing"):
        locate(bundle_spec(NAME, models_dir), models_dir)


def test_a_pinned_hash_is_stronger_than_the_hub(hub: FakeHub, models_dir: Path) -> None:
    definition = models_dir / f"{NAME}.toml"
    pinned = '"model.pt" = { sha256 = "' + "0" * 64 + '" }'
    definition.write_text(definition.read_text().replace('"model.pt" = {}', pinned, 1))
    with pytest.raises(ModelUnavailable, match=r"model\.pt has sha256 [0-9a-f]{64} there, but the definition says 000"):
        get(hub, models_dir)


def test_a_missing_file_and_a_hub_that_is_away_lead_to_the_next_source(hub: FakeHub, models_dir: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"am\.mvn: HTTP 404 for http://127"):
        hub.faults.missing.add("am.mvn")
        get(hub, models_dir)
    hub.faults.missing.clear()
    messages: list[str] = []
    down = HubAccess("http://127.0.0.1:9", hub.url)
    paths = download(bundle_spec(NAME, models_dir), ("modelscope", "huggingface"), models_dir, down, messages.append)
    assert paths.revision == COMMIT
    assert same(hub, paths)
    assert [line for line in messages if "it cannot be reached" in line and "ModelScope" in line]
    hub.faults.down = True
    shutil.rmtree(paths.asr.parent)
    with pytest.raises(ModelUnavailable, match="HTTP 503") as raised:
        get(hub, models_dir, "modelscope", "huggingface")
    assert "ModelScope" in raised.value.message
    assert "Hugging Face" in raised.value.message


def test_a_source_that_fails_half_way_is_followed_by_the_next(hub: FakeHub, models_dir: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(hub.repositories["org/vad"], tmp_path / "other"))
    hub.repositories["org/bad"] = broken
    definition = models_dir / f"{NAME}.toml"
    definition.write_text(definition.read_text().replace('repository = "org/vad"', 'repository = "org/bad"', 1))
    hub.faults.missing.add("extra")
    (broken / "extra").write_text("")
    definition.write_text(
        definition.read_text().replace('revision = "v1"\n[vad.files]', 'revision = "v1"\n[vad.files]\n"extra" = {}', 1)
    )
    messages: list[str] = []
    paths = get(hub, models_dir, "modelscope", "huggingface", messages=messages)
    assert paths.revision == f"{COMMIT}+v1"
    assert [line for line in messages if "extra: HTTP 404" in line]


def test_no_room_is_said_before(hub: FakeHub, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, 1 << 20))
    with pytest.raises(ModelUnavailable, match=r"needs 7\d MiB of free space in .*; there are 1 MiB"):
        get(hub, models_dir)
    assert not hub.requests


def test_sizes_are_checked_at_every_start(hub: FakeHub, models_dir: Path) -> None:
    weights = get(hub, models_dir).asr / "model.pt"
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelUnavailable, match=rf"asr/model\.pt has 1000 bytes instead of {size}"):
        locate(bundle_spec(NAME, models_dir), models_dir)
    assert same(hub, get(hub, models_dir))


def test_two_processes_at_once_download_each_file_once(hub: FakeHub, models_dir: Path) -> None:
    hub.faults.slow_seconds = 0.05
    workers = [_process(hub, models_dir) for _ in range(3)]
    outputs = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], outputs
    assert {out.splitlines()[-1] for out, _ in outputs} == {"v1"}
    assert sum("waiting for another process" in out for out, _ in outputs) == 2
    times = Counter((request.repository, request.name) for request in hub.requests)
    assert set(times.values()) == {1}, times
    assert same(hub, locate(bundle_spec(NAME, models_dir), models_dir))


def test_a_killed_download_is_continued_by_the_next_process(hub: FakeHub, models_dir: Path) -> None:
    hub.faults.slow_seconds = 1.0
    killed = _process(hub, models_dir)
    until(lambda: [path for path in models_dir.glob(f"{NAME}/asr/.model.pt.*.part") if path.stat().st_size])
    assert killed.poll() is None
    killed.kill()
    killed.communicate()
    hub.faults.slow_seconds = 0.0
    assert same(hub, get(hub, models_dir))
    assert hub.requests_for("model.pt")[1].begun > 0


def _process(hub: FakeHub, models_dir: Path) -> subprocess.Popen[str]:
    """The command that images and workers use, in a process of its own."""
    environment = {
        "PARAQUEUE_MODEL": NAME,
        "PARAQUEUE_MODELS_DIR": str(models_dir),
        "PARAQUEUE_MODEL_SOURCE": "modelscope",
        "PARAQUEUE_MODELSCOPE_URL": hub.url,
    }
    code = (
        "from common.settings import load_settings\n"
        "from worker.transcription.models import ensure_bundle\n"
        "print(ensure_bundle(load_settings(), lambda step: print(step, flush=True)).revision)"
    )
    command = [sys.executable, "-c", code]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path.cwd()
    )


@pytest.mark.parametrize("wrong", ["asr", "asr=org/asr", "lm=org/lm@1", "asr=@1"])
def test_mirrors_must_be_readable(hub: FakeHub, models_dir: Path, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="PARAQUEUE_MODEL_REPOSITORIES"):
        get(hub, models_dir, mirrors=wrong)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('nane = "x"', "'nane' is not known"),
        ('languages = ["zh"]', "'name' is missing"),
        ('name = "../x"', "is not a name"),
        ('name = "x"\nspeakers = "yes"', "speakers must be of type bool"),
        ('name = "x"\n[[asr]]\nhub = "github"', "'github' is not one of"),
        ('name = "x"\n[[asr]]\nhub = "huggingface"\nrepository = "a/b"\nrevision = "main"', "must be a commit"),
        (
            'name = "x"\n[[vad]]\nhub = "modelscope"\nrepository = "a/b"\nrevision = "1"\n[vad.files]\n"../x" = {}',
            "is not the name of a file",
        ),
        ('name = "x', "not the definition"),
    ],
)
def test_a_wrong_definition_is_named_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "own.toml").write_text(line)
    with pytest.raises(ConfigurationError, match=reason) as raised:
        bundle_spec("demo-zh", tmp_path)
    assert "own.toml" in raised.value.message
