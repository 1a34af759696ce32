"""A service that can be broken, under load."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.load import Audio, Load, make_audio, undisturbed
from tests.faults.scene import Scene
from tests.faults.stack import WORKERS, running_stack

# Longer than a lease, so that an outage costs the attempts under way; the soak takes the full ten seconds.
OUTAGE_SECONDS = 4.0
SEED = 20261122


@pytest.fixture(scope="package")
def scene_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Scene]]:
    """Two stacks, one that keeps audio on a disk and one that keeps it in S3, each started when first asked for."""
    files: list[Audio] = []
    scenes: dict[str, Scene] = {}
    with ExitStack() as kept:

        def scene(storage: str) -> Scene:
            if storage not in scenes:
                place = tmp_path_factory.mktemp(f"faults-{storage}")
                workers = WORKERS if storage == "disk" else WORKERS[:1]  # each takes seconds to start
                stack = kept.enter_context(
                    running_stack(place, storage, outage_seconds=OUTAGE_SECONDS, workers=workers)
                )
                if not files:
                    files.extend(undisturbed(stack, make_audio(tmp_path_factory.mktemp("audio"))))
                load = kept.enter_context(Load(stack, files, random.Random(SEED)).running())
                scenes[storage] = Scene(stack, load, random.Random(SEED), SEED, alone=True)
            return scenes[storage]

        yield scene
