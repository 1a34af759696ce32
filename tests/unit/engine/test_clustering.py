"""Clusters of made-up windows, whose speakers are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from worker.engine.speakers import clustering
from worker.engine.speakers.clustering import Wanted, agglomerate, cluster

Labels = npt.NDArray[np.int64]


def voices(labels: list[int], seed: int = 0, spread: float = 0.65) -> npt.NDArray[np.float16]:
    """Windows of speakers, random directions with noise; those of one have a similarity of 1 / (1 + spread²)."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(max(labels) + 1, 192))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = generator.normal(size=(len(labels), 192)) / np.sqrt(192)
    return np.asarray((centres[labels] + spread * noise) * 3, np.float16)


def runs(labels: list[int]) -> npt.NDArray[np.bool_]:
    return np.ones(len(labels), bool)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_speakers_are_found_and_numbered_in_order(count: int) -> None:
    labels = [i // 6 % count for i in range(count * 24)]
    assert cluster(voices(labels), runs(labels)).tolist() == labels


def test_noisy_windows_of_one_voice_stay_one_speaker() -> None:
    labels = [0] * 150
    assert cluster(voices(labels, spread=1.1), runs(labels)).max() == 0


def test_three_short_clips() -> None:
    labels = [0, 0, 1, 1, 2, 2]
    assert cluster(voices(labels), runs(labels)).tolist() == labels


def test_one_odd_window_is_no_speaker() -> None:
    labels = [0] * 20 + [1] + [0] * 20
    assert cluster(voices(labels), runs(labels)).max() == 0
    assert cluster(voices(labels), runs(labels), Wanted(2, 2)).max() == 1


@pytest.mark.parametrize(
    ("least", "most", "expected"), [(None, 2, 2), (6, None, 6), (3, 3, 3), (None, None, 4), (1, 1, 1)]
)
def test_the_number_of_speakers_is_kept(least: int | None, most: int | None, expected: int) -> None:
    labels = [i // 5 % 4 for i in range(120)]
    assert cluster(voices(labels), runs(labels), Wanted(least, most)).max() + 1 == expected


def test_more_speakers_than_windows_are_not_invented() -> None:
    assert set(cluster(voices([0, 1]), runs([0, 1]), Wanted(5, 5)).tolist()) == {0, 1}
    assert cluster(voices([0]), runs([0]), Wanted(2, 3)).tolist() == [0]
    assert cluster(np.zeros((0, 192), np.float16), np.zeros(0, bool)).tolist() == []


def test_silence_does_not_fail() -> None:
    assert cluster(np.zeros((5, 192), np.float16), np.ones(5, bool)).tolist() == [0] * 5


def test_a_doubtful_window_within_a_run_goes_with_its_neighbours() -> None:
    labels = [0] * 12 + [1] * 12
    windows = voices(labels).astype(np.float32)
    windows[6] = 0.49 * windows[:6].mean(0) + 0.51 * windows[12:].mean(0)
    apart, together = runs(labels), ~runs(labels)
    assert cluster(windows.astype(np.float16), together).tolist() == labels
    assert cluster(windows.astype(np.float16), apart).tolist() != labels


def test_a_long_recording_is_reduced_first(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [i // 7 % 3 for i in range(900)]
    monkeypatch.setattr(clustering, "MOST_POINTS", 60)
    monkeypatch.setattr(clustering, "BLOCK", 200)
    assert cluster(voices(labels), runs(labels)).tolist() == labels


def test_average_linkage_as_scipy_computes_it() -> None:
    from scipy.cluster.hierarchy import linkage

    units = voices([i % 5 for i in range(60)], spread=1.5).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    ours = [1 - merge.similarity for merge in agglomerate(units, np.ones(60, np.float32))]
    assert np.allclose(sorted(ours), linkage(units, "average", "cosine")[:, 2], atol=1e-5)
