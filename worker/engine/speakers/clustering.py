"""Groups the windows of a whole recording by speaker. The same windows always give the same groups.

Agglomerative clustering with average linkage on cosine similarity: of unit vectors, the average similarity of two
groups is that of their sums, so one matrix over at most MOST_POINTS points is enough. Longer recordings are first
reduced block by block in the same way, each block to its most similar groups.

This stops at THRESHOLD, where one speaker may still have several groups, since short windows of one voice differ.
Groups are then joined by their similarity to each other relative to that within them, which does not depend on how
noisy the windows are: 1 for two halves of one voice. That stops at SAME_VOICE, or at the number of speakers that the
caller knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.55
"""The average similarity of two groups of windows above which they are certainly one speaker's."""

SAME_VOICE = 0.8
"""The similarity of two groups, relative to that within them, from which on they are one speaker's."""

LEAST_WITHIN = 0.35
"""The similarity within a group is taken to be at least this; that of two or three windows is a rough estimate."""

MOST_GROUPS = 200
"""Groups that can become speakers, the largest ones."""

MOST_POINTS = 3_000
"""Points that are compared with each other: a matrix of 36 MB, and about a second of one core."""

BLOCK = 1_500
"""Windows that are reduced together, 19 minutes of speech; smaller blocks are quicker and lose more."""

LEAST_WINDOWS, MOST_LEAST_WINDOWS, LEAST_SHARE = 2, 6, 0.01
"""A group is a speaker from this share of all windows on, within these bounds; smaller ones join the nearest."""

SWITCH_COST = 0.08
"""The similarity that a change of speakers between two windows must gain."""

REFINEMENTS = 3

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number of speakers according to the caller; None: unknown."""

    least: int | None = None
    most: int | None = None


ANY_NUMBER = Wanted()


@dataclass(frozen=True, slots=True)
class _Merge:
    """Point `other` joined point `kept`, at this average similarity."""

    kept: int
    other: int
    similarity: float


def cluster(embeddings: NDArray[np.float16], ends_run: NDArray[np.bool_], wanted: Wanted = ANY_NUMBER) -> Labels:
    """The group of each window, int64 [n], numbered from 0 in the order of the windows.

    embeddings: float16 [n, 192]; ends_run: bool [n], whether the next window does not follow on this one in the same
    stretch of speech.
    """
    if not len(embeddings):
        return np.zeros(0, np.int64)
    units = _normalised(embeddings.astype(np.float32))
    points = _points(units)
    sums = np.zeros((int(points.max()) + 1, units.shape[1]), np.float32)
    np.add.at(sums, points, units)
    weights = np.bincount(points).astype(np.float32)
    merges = agglomerate(sums, weights)
    least = min(MOST_LEAST_WINDOWS, max(LEAST_WINDOWS, int(len(units) * LEAST_SHARE)))
    groups = _groups(merges, weights, _level(merges, weights, least, wanted))
    totals, sizes = _candidates(sums, weights, groups, least, wanted)
    return _numbered(_refined(units, _normalised(joined(totals, sizes, wanted)), ends_run))


def agglomerate(sums: Floats, weights: Floats) -> list[_Merge]:
    """All merges of points with the given sums [k, d] of unit vectors and numbers [k] of them, most similar first."""
    weights = weights.copy()
    near = (sums @ sums.T) / (weights[:, None] * weights[None, :])
    np.fill_diagonal(near, -np.inf)
    best = near.argmax(axis=1)
    value = near[np.arange(len(near)), best]
    merges: list[_Merge] = []
    for _ in range(len(weights) - 1):
        first = int(value.argmax())
        kept, other = sorted((first, int(best[first])))
        merges.append(_Merge(kept, other, float(value[first])))
        total = weights[kept] + weights[other]
        row = (weights[kept] * near[kept] + weights[other] * near[other]) / total
        weights[kept] = total
        row[kept] = row[other] = -np.inf
        near[kept], near[:, kept] = row, row
        near[other] = near[:, other] = -np.inf
        value[other] = -np.inf
        # Average linkage never makes a group more similar to a third one than both of its halves were.
        stale = np.flatnonzero(((best == kept) | (best == other)) & (value > -np.inf))
        stale = np.union1d(stale, [kept])
        best[stale] = near[stale].argmax(axis=1)
        value[stale] = near[stale, best[stale]]
    return merges


def _normalised(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6), np.float32)


def _points(units: Floats) -> Labels:
    """The point that each window belongs to: itself or, in a long recording, a group of similar ones of its block."""
    count = len(units)
    if count <= MOST_POINTS:
        return np.arange(count)
    blocks = -(-count // BLOCK)
    points = np.zeros(count, np.int64)
    made = 0
    for number in range(blocks):
        start, end = number * count // blocks, (number + 1) * count // blocks
        weights = np.ones(end - start, np.float32)
        merges = agglomerate(units[start:end], weights)
        inside = _groups(merges, weights, max(0, end - start - MOST_POINTS // blocks))
        points[start:end] = made + inside
        made += int(inside.max()) + 1
    return points


def _groups(merges: list[_Merge], weights: Floats, count: int) -> Labels:
    """The group of each point after `count` merges, numbered from 0."""
    parent = np.arange(len(weights))
    for merge in merges[:count]:
        parent[merge.other] = merge.kept
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return np.unique(parent, return_inverse=True)[1]
        parent = above


def _level(merges: list[_Merge], weights: Floats, least: int, wanted: Wanted) -> int:
    """How many merges to keep: those above the threshold, or fewer if more speakers are wanted."""
    sizes = weights.copy()
    speakers = int((sizes >= least).sum())
    counts = [speakers]
    for merge in merges:
        before = int(sizes[merge.kept] >= least) + int(sizes[merge.other] >= least)
        sizes[merge.kept] += sizes[merge.other]
        speakers += int(sizes[merge.kept] >= least) - before
        counts.append(speakers)
    level = next((i for i, merge in enumerate(merges) if merge.similarity < THRESHOLD), len(merges))
    if wanted.least is not None and counts[level] < wanted.least:
        enough = min(wanted.least, max(counts[: level + 1]))
        return next(i for i in range(level, -1, -1) if counts[i] >= enough)
    return level


def _candidates(sums: Floats, weights: Floats, groups: Labels, least: int, wanted: Wanted) -> tuple[Floats, Floats]:
    """The sums [k, d] and sizes [k] of the groups that are large enough for a speaker, at least one, largest first."""
    totals = np.zeros((int(groups.max()) + 1, sums.shape[1]), np.float32)
    np.add.at(totals, groups, sums)
    sizes = np.bincount(groups, weights).astype(np.float32)
    count = max(1, wanted.least or 1, int((sizes >= least).sum()))
    order = np.argsort(-sizes, kind="stable")[: min(count, MOST_GROUPS)]
    return totals[order], sizes[order]


def joined(totals: Floats, sizes: Floats, wanted: Wanted) -> Floats:
    """The sums of the speakers: of groups with sums [k, d] of unit vectors and sizes [k], joined while one voice."""
    totals, sizes = totals.copy(), sizes.copy()
    while len(totals) > (wanted.least or 1):
        within = (np.square(totals).sum(axis=1) - sizes) / np.maximum(sizes * (sizes - 1), 1)
        scale = np.sqrt(np.clip(within, LEAST_WITHIN, 1)) * sizes
        near = (totals @ totals.T) / (scale[:, None] * scale[None, :])
        np.fill_diagonal(near, -np.inf)
        kept, other = sorted(int(i) for i in np.unravel_index(near.argmax(), near.shape))
        if near[kept, other] < SAME_VOICE and len(totals) <= (wanted.most or MOST_GROUPS):
            break
        totals[kept] += totals[other]
        sizes[kept] += sizes[other]
        totals, sizes = np.delete(totals, other, axis=0), np.delete(sizes, other)
    return totals


def _refined(units: Floats, centres: Floats, ends_run: NDArray[np.bool_]) -> Labels:
    """Give every window to a centre, and move each centre to its windows, a fixed number of times."""
    labels = np.zeros(len(units), np.int64)
    for _ in range(REFINEMENTS):
        labels = _paths(units @ centres.T, ends_run)
        totals = np.zeros_like(centres)
        np.add.at(totals, labels, units)
        used = np.bincount(labels, minlength=len(centres)) > 0
        centres = np.where(used[:, None], _normalised(totals), centres)
    return labels


def _paths(scores: Floats, ends_run: NDArray[np.bool_]) -> Labels:
    """The best sequence of speakers, where each change within a run costs SWITCH_COST (Viterbi); int64 [n]."""
    count, speakers = scores.shape
    came = np.zeros((count, speakers), np.int64)
    stay = np.arange(speakers)
    total = scores[0].copy()
    for i in range(1, count):
        if ends_run[i - 1]:
            came[i] = total.argmax()
            total = scores[i] + total.max()
        else:
            top = int(total.argmax())
            change = total[top] - SWITCH_COST > total
            came[i] = np.where(change, top, stay)
            total = scores[i] + np.where(change, total[top] - SWITCH_COST, total)
        total -= total.max()
    labels = np.zeros(count, np.int64)
    labels[-1] = total.argmax()
    for i in range(count - 1, 0, -1):
        labels[i - 1] = came[i, labels[i]]
    return labels


def _numbered(labels: Labels) -> Labels:
    """The same groups, numbered in the order of their first windows."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first, kind="stable"), kind="stable")[inverse]
