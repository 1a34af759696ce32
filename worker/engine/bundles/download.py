"""Downloads of model bundles: one process at a time, each file beside its place, and renamed when it is proved.

Several workers that share a models directory may start together. The first takes a lock in that directory, the
others wait and find the files. A file is written to a name of its own, compared with its size and hash, and then
renamed, so what stands under a model's name is whole. A download that broke off is continued.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from common.errors import ConfigurationError, ModelUnavailable
from worker.engine.bundles.bundles import (
    MANIFEST,
    REQUIRED_FILES,
    REVISION_STAMP,
    BundlePaths,
    by_hand,
    downloaded_files,
    file_problems,
    from_directory,
)
from worker.engine.bundles.definitions import HUBS, PARTS, BundleSpec, FileSpec, Source
from worker.engine.bundles.files import fetch_file, write_whole
from worker.engine.bundles.hubs import HubAccess, Listing, Published, SourceFailed, headers, list_files

Progress = Callable[[str], None]

SILENCE_SECONDS = 60.0
ROOM_BYTES = 64 << 20
"""What stays free on the disk beside the files."""

LOCK_POLL_SECONDS = 0.5
LOCK_TOLD_SECONDS = 60.0
OPTIONAL_FILE = "configuration.json"


@dataclass(frozen=True, slots=True)
class _Plan:
    """A part of a bundle that is to be downloaded from a source that answered."""

    part: str
    source: Source
    listing: Listing
    files: tuple[Published, ...]


def download(
    spec: BundleSpec,
    hubs: Sequence[str],
    models_dir: Path | str,
    access: HubAccess,
    progress: Progress = lambda _: None,
    mirrors: str = "",
) -> BundlePaths:
    """Get what is missing of a bundle into `models_dir/NAME`; parts that are complete there stay as they are.

    `hubs` names the hubs that may be asked, in order. `mirrors` names other repositories than those of the
    definition: `asr=ORG/NAME@REVISION,…`, on the first of the hubs. `progress` gets a line per step. Waits while
    another process downloads the same bundle. Raises ModelUnavailable, which names the file and the reason, and tells
    how to put the files in place by hand.
    """
    directory = Path(models_dir) / spec.name
    sources = _sources(spec, hubs, mirrors)
    try:
        Path(models_dir).mkdir(parents=True, exist_ok=True)
        with (
            _locked(Path(models_dir) / f".{spec.name}.lock", progress),
            httpx.Client(timeout=SILENCE_SECONDS, follow_redirects=True) as client,
        ):
            _Download(spec, directory, sources, access, client, progress).run()
    except OSError as error:
        raise ModelUnavailable(f"{spec.name} cannot be written to {directory}: {error}") from error
    return from_directory(directory, spec.name, spec)


class _Download:
    """The download of one bundle, under the lock."""

    def __init__(
        self,
        spec: BundleSpec,
        directory: Path,
        sources: dict[str, list[Source]],
        access: HubAccess,
        client: httpx.Client,
        progress: Progress,
    ) -> None:
        self._spec = spec
        self._directory = directory
        self._sources = sources
        self._access = access
        self._client = client
        self._progress = progress
        self._failures: list[str] = []

    def run(self) -> None:
        """Get the parts that are missing; first all listings, so that a disk without room is said before."""
        wanting = [part for part in PARTS if file_problems(self._directory, part, self._spec)]
        plans = [self._planned(part, self._sources[part]) for part in wanting]
        self._check_room(plans)
        for plan in plans:
            self._get(plan)

    def _planned(self, part: str, sources: Sequence[Source]) -> _Plan:
        """The first source whose list of files has all that the part needs."""
        for source in sources:
            try:
                listing = list_files(self._client, source, self._access)
                return _Plan(part, source, listing, _wanted_files(part, source, listing))
            except SourceFailed as failed:
                self._fail(part, source, str(failed))
        raise ModelUnavailable(
            f"Could not download the {part} model of {self._spec.name}. "
            + " ".join(self._failures or [f"No hub that may be asked has it ({', '.join(HUBS)})."])
            + f" {by_hand(self._spec, self._directory)}"
        )

    def _get(self, plan: _Plan) -> None:
        """Download a part, from the next source if this one fails."""
        while True:
            self._say(f"{plan.part} from {replace(plan.source, revision=plan.listing.revision)}")
            try:
                self._get_files(plan)
            except SourceFailed as failed:
                self._fail(plan.part, plan.source, str(failed))
                left = self._sources[plan.part]
                plan = self._planned(plan.part, left[left.index(plan.source) + 1 :])
            else:
                return

    def _get_files(self, plan: _Plan) -> None:
        folder = self._directory / plan.part
        folder.mkdir(parents=True, exist_ok=True)
        # Until every file is here the folder has no stamps: a mixture of two revisions must not pass for one.
        kept = downloaded_files(folder)
        (folder / REVISION_STAMP).unlink(missing_ok=True)
        asked, written = headers(plan.source, self._access), {}
        for file in plan.files:
            written[file.name] = fetch_file(self._client, file, folder, kept.get(file.name), asked, self._say)
        manifest = {name: {"size": spec.size, "sha256": spec.sha256} for name, spec in written.items()}
        write_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        write_whole(folder / REVISION_STAMP, plan.listing.revision + "\n")

    def _check_room(self, plans: Sequence[_Plan]) -> None:
        """Raise ModelUnavailable if the disk cannot take what is to come."""
        needed = 0
        for plan in plans:
            folder = self._directory / plan.part
            for file in plan.files:
                begun = sum(found.stat().st_size for found in folder.glob(f".{file.name}.*.part"))
                needed += 0 if (folder / file.name).is_file() else max((file.size or 0) - begun, 0)
        free = shutil.disk_usage(self._directory.parent).free
        if needed and free < needed + ROOM_BYTES:
            raise ModelUnavailable(
                f"{self._spec.name} needs {_mebibytes(needed + ROOM_BYTES)} of free space in {self._directory.parent}; "
                f"there are {_mebibytes(free)}. Nothing was downloaded."
            )

    def _say(self, step: str) -> None:
        self._progress(f"{self._spec.name}: {step}")

    def _fail(self, part: str, source: Source, reason: str) -> None:
        self._failures.append(f"{part} from {source}: {reason}.")
        self._say(self._failures[-1])


def _sources(spec: BundleSpec, hubs: Sequence[str], mirrors: str) -> dict[str, list[Source]]:
    """The sources of each part that may be asked, in the order of the hubs."""
    named = _mirrors(mirrors, hubs)
    found = {}
    for part in PARTS:
        listed = [source for hub in hubs for source in spec.sources.get(part, ()) if source.hub == hub]
        if part in named:
            files = dict.fromkeys(spec.files(part) or REQUIRED_FILES[part], FileSpec())
            listed = [replace(named[part], files=files)]
        found[part] = listed
    return found


def _mirrors(text: str, hubs: Sequence[str]) -> dict[str, Source]:
    """`asr=ORG/NAME@REVISION,…` as sources; raises ConfigurationError for anything else."""
    found = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        part, _, place = item.partition("=")
        repository, _, revision = place.partition("@")
        if part not in PARTS or not repository or not revision or not hubs:
            raise ConfigurationError(f"PARAQUEUE_MODEL_REPOSITORIES: {item!r} is not PART=ORG/NAME@REVISION")
        found[part] = Source(hubs[0], repository, revision)
    return found


def _wanted_files(part: str, source: Source, listing: Listing) -> tuple[Published, ...]:
    """The files of a part, with what is known of them from both sides. Raises SourceFailed where these disagree."""
    pinned = dict.fromkeys(REQUIRED_FILES[part], FileSpec()) | source.files
    if OPTIONAL_FILE in listing.files:
        pinned.setdefault(OPTIONAL_FILE, FileSpec())
    wanted = []
    for name, known in pinned.items():
        if name not in listing.files:
            raise SourceFailed(f"{name} is not in the repository")
        file = listing.files[name]
        for what, ours, theirs in (("size", known.size, file.size), ("sha256", known.sha256, file.sha256)):
            if ours is not None and theirs is not None and ours != theirs:
                raise SourceFailed(f"{name} has {what} {theirs} there, but the definition says {ours}")
        wanted.append(replace(file, size=known.size or file.size, sha256=known.sha256 or file.sha256))
    return tuple(wanted)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock of a bundle. The system frees it when its holder ends, however it ends.

    A wait has no limit of its own: the holder gives up by itself when its sources are silent.
    """
    with path.open("ab") as file:
        told = float("-inf")
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - told > LOCK_TOLD_SECONDS:
                    told = time.monotonic()
                    progress(f"waiting for another process that downloads to {path.parent}")
                time.sleep(LOCK_POLL_SECONDS)
        yield


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
