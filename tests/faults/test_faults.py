"""Everything that can go wrong, once each, under load: no job is lost, no word of it, and no webhook."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.rounds import cause
from tests.faults.scene import Fault, Scene
from tests.faults.verdict import settle, verdict

pytestmark = pytest.mark.timeout(900)
IN_FLIGHT = 3


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_is_lost(scene_on: Callable[[str], Scene], fault: Fault) -> None:
    scene = scene_on("s3" if fault.storage == "s3" else "disk")
    scene.rng = Random(f"{fault.name} {scene.seed}")
    settle(scene.stack, scene.load)  # a test that failed may have left jobs
    before = len(scene.stack.query("SELECT 1 FROM jobs WHERE tags <> '{}'"))
    scene.load.keep(IN_FLIGHT)
    survived = cause(fault, scene)
    settle(scene.stack, scene.load)
    result = verdict(scene.stack, scene.load, since=before)
    print(f"{fault.name}: {result.jobs} jobs, recovered after {survived.recovery_seconds} s, {scene.load.refused}")
    assert result.jobs >= 2
    assert not result.complaints(), f"{result.complaints()}; the logs are in {scene.stack.logs}"
