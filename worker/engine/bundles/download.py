"""Downloads model bundles: one process at a time, each file under a temporary name, renamed once it is verified.

Several workers that share a models directory may start together. The first takes a lock in that directory; the
others wait and then find the files. A file is written under a temporary name, checked against its size and hash, and
then renamed, so a file under its final name is complete. An interrupted download is resumed.
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
    PIECES_FILE,
    RENAMED,
    REVISION_STAMP,
    BundlePaths,
    by_hand,
    downloaded_files,
    file_problems,
    from_directory,
    required_files,
)
from worker.engine.bundles.definitions import ALL_PARTS, HUBS, PARTS, SPEAKERS, BundleSpec, FileSpec, Source
from worker.engine.bundles.files import fetch_file, write_whole
from worker.engine.bundles.hubs import HubAccess, Listing, Published, SourceFailed, headers, list_files

Progress = Callable[[str], None]

SILENCE_SECONDS = 60.0
ROOM_BYTES = 64 << 20
"""What stays free on the disk beside the files."""

LOCK_POLL_SECONDS = 0.5
LOCK_TOLD_SECONDS = 60.0
OPTIONAL_FILES = ("configuration.json", PIECES_FILE)
"""Files that are taken if a repository has them."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A part of a bundle to be downloaded from a source that responded."""

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
    """Download the missing parts of a bundle to `models_dir/NAME`; complete parts are left unchanged.

    `hubs` lists the hubs that may be used, in order. `mirrors` names repositories to use instead of those in the
    definition: `asr=ORG/NAME@REVISION,…`, on the first of the hubs. `progress` receives a line per step. Waits while
    another process downloads the same bundle. Raises ModelUnavailable, which names the file and the reason and
    explains how to install the files by hand.
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
        """Download the missing parts; all listings come first, so that a lack of disk space is reported early."""
        parts = ALL_PARTS if self._sources[SPEAKERS] or (self._directory / SPEAKERS).is_dir() else PARTS
        wanting = [part for part in parts if file_problems(self._directory, part, self._spec)]
        plans = [self._planned(part, self._sources[part]) for part in wanting]
        self._check_room(plans)
        for plan in plans:
            self._get(plan)

    def _planned(self, part: str, sources: Sequence[Source]) -> _Plan:
        """The first source whose listing contains all files that the part needs."""
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
        """Download a part, falling back to the next source if one fails."""
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
        # The folder has no records until every file is complete: a mixture of two revisions must not be taken for one.
        kept = downloaded_files(folder)
        (folder / REVISION_STAMP).unlink(missing_ok=True)
        request_headers, written = headers(plan.source, self._access), {}
        for file in plan.files:
            written[file.name] = fetch_file(self._client, file, folder, kept.get(file.name), request_headers, self._say)
        manifest = {name: {"size": spec.size, "sha256": spec.sha256} for name, spec in written.items()}
        write_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        write_whole(folder / REVISION_STAMP, plan.listing.revision + "\n")

    def _check_room(self, plans: Sequence[_Plan]) -> None:
        """Raise ModelUnavailable if there is not enough disk space for the download."""
        needed = 0
        for plan in plans:
            folder = self._directory / plan.part
            for file in plan.files:
                begun = sum(partial.stat().st_size for partial in folder.glob(f".{file.name}.*.part"))
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
    """The allowed sources of each part, in the order of the hubs."""
    named = _mirrors(mirrors, hubs)
    listings = {}
    for part in ALL_PARTS:
        listed = [source for hub in hubs for source in spec.sources.get(part, ()) if source.hub == hub]
        if part in named:
            files = dict.fromkeys(spec.files(part) or required_files(part), FileSpec())
            listed = [replace(named[part], files=files)]
        listings[part] = listed
    return listings


def _mirrors(text: str, hubs: Sequence[str]) -> dict[str, Source]:
    """Parse `asr=ORG/NAME@REVISION,…` into sources; raises ConfigurationError for anything else."""
    sources = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        part, _, place = item.partition("=")
        repository, _, revision = place.partition("@")
        if part not in ALL_PARTS or not repository or not revision or not hubs:
            raise ConfigurationError(f"PARAQUEUE_MODEL_REPOSITORIES: {item!r} is not PART=ORG/NAME@REVISION")
        sources[part] = Source(hubs[0], repository, revision)
    return sources


def _wanted_files(part: str, source: Source, listing: Listing) -> tuple[Published, ...]:
    """The files of a part, with what definition and hub say about them. Raises SourceFailed if these disagree."""
    pinned = dict.fromkeys(() if part in RENAMED else required_files(part, source.files), FileSpec()) | source.files
    for name in OPTIONAL_FILES:
        if name in listing.files:
            pinned.setdefault(name, FileSpec())
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
    """Hold the lock of a bundle. The kernel releases it when the process ends, however it ends.

    The wait has no time limit of its own: the holder gives up when its sources stop responding.
    """
    with path.open("ab") as file:
        reported_at = float("-inf")
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - reported_at > LOCK_TOLD_SECONDS:
                    reported_at = time.monotonic()
                    progress(f"waiting for another process that downloads to {path.parent}")
                time.sleep(LOCK_POLL_SECONDS)
        yield


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
