"""Compares texts: random recordings through our engine in every mode, against FunASR alone; int8 against itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from bench.lab import Lab
from bench.random_speech import random_file
from bench.remote import Refused, Run
from bench.report import Column, Report
from training.text import plain

TOLERANCE_MS = 20
PASSES = ("alone", "together", "resumed")


def measure(lab: Lab, report: Report) -> None:
    """Add a table and the bars for the text."""
    numbers = [str(number) for number in range(lab.effort.compared_files)]
    lab.say(f"texts of {len(numbers)} random files: FunASR")
    with lab.remote("sameness-funasr", lab.demo) as remote:
        reference = remote.run(numbers)
    lab.say("texts: ours")
    with lab.remote("sameness-ours", lab.demo, at_once=8, max_segment_ms=None) as remote:
        ours = remote.run(numbers)
    table = report.table(
        f"Same text, {len(numbers)} random files of demo speech",
        *(
            Column("what"),
            Column("equal", "texts equal"),
            Column("times", f"times within {TOLERANCE_MS} ms"),
            Column("cer", "CER, %"),
        ),
    )
    equal, timed = _compare(reference, ours)
    for name in PASSES:
        texts = [one["text"] for one in ours.details["passes"][name]]
        table.add(what=f"fp32, {name}, against FunASR", equal=equal[name], times=timed[name], cer=error_rate(texts))
    table.add(what="FunASR alone", equal=len(numbers), times=len(numbers), cer=error_rate(reference.texts))
    everywhere = sum(_all_equal(reference, ours, place) for place in range(len(numbers)))
    report.bar("files_text_equal", everywhere, bar=len(numbers))
    report.bar("files_compared", len(numbers))
    report.bar("files_times_equal", min(timed.values()), bar=len(numbers))
    _int8(lab, report, numbers, error_rate(ours.texts))


def precisions(lab: Lab, report: Report, wanted: Sequence[str]) -> None:
    """Add a table: texts of each precision against FunASR in fp32 on the same device, and resumed against alone."""
    numbers = [str(number) for number in range(lab.effort.compared_files)]
    with lab.remote("sameness-funasr", lab.demo) as remote:
        reference = remote.run(numbers)
    table = report.table(
        f"Text by precision, {len(numbers)} random files of demo speech",
        *(
            Column("what"),
            Column("equal", "texts equal"),
            Column("resumed", "equal when resumed"),
            Column("cer", "CER, %"),
        ),
    )
    expected = error_rate(reference.texts)
    table.add(what="FunASR fp32", equal=len(numbers), cer=expected)
    for precision in wanted:
        lab.say(f"texts: {precision}")
        try:
            with lab.remote("sameness-ours", lab.demo, precision, at_once=8, max_segment_ms=None) as remote:
                run = remote.run(numbers)
        except Refused as error:
            table.note(f"{precision}: {error}")
            continue
        alone, resumed = (run.details["passes"][name] for name in ("alone", "resumed"))
        again = sum(one["text"] == other["text"] for one, other in zip(alone, resumed, strict=True))
        equal = sum(one == other for one, other in zip(run.texts, reference.texts, strict=True))
        table.add(what=f"ours {precision}", equal=equal, resumed=again, cer=error_rate(run.texts))
        report.bar(f"{precision}_cer_points_worse", error_rate(run.texts) - expected, bar=0.1, at_most=True)


def error_rate(texts: Sequence[str]) -> float:
    """The character error rate in percent over the files with completely known text."""
    errors = length = 0
    for number, text in enumerate(texts):
        script = random_file(number).script
        if script is not None:
            wanted = plain(script)
            errors += Levenshtein.distance(wanted, plain(text))
            length += len(wanted)
    return 100 * errors / max(length, 1)


def _int8(lab: Lab, report: Report, numbers: Sequence[str], fp32_rate: float) -> None:
    table = report.tables[-1]
    lab.say("texts: ours, int8")
    try:
        with lab.remote("sameness-ours", lab.demo, "int8", at_once=8, max_segment_ms=None) as remote:
            run = remote.run(numbers)
    except Refused as error:
        table.note(f"int8: {error}")
        report.bar("int8_files_text_equal", None, bar=len(numbers))
        report.bar("int8_cer_points_worse", None, bar=0.2, at_most=True)
        return
    passes = run.details["passes"]
    for name in PASSES[1:]:
        same = sum(one["text"] == other["text"] for one, other in zip(passes["alone"], passes[name], strict=True))
        times = sum(
            _near(one["times"], other["times"]) for one, other in zip(passes["alone"], passes[name], strict=True)
        )
        texts = [one["text"] for one in passes[name]]
        table.add(what=f"int8, {name}, against int8 alone", equal=same, times=times, cer=error_rate(texts))
    everywhere = sum(len({passes[name][place]["text"] for name in PASSES}) == 1 for place in range(len(numbers)))
    report.bar("int8_files_text_equal", everywhere, bar=len(numbers))
    report.bar("int8_cer_points_worse", error_rate(run.texts) - fp32_rate, bar=0.2, at_most=True)


def _compare(reference: Run, ours: Run) -> tuple[dict[str, int], dict[str, int]]:
    """By pass, the number of files with equal text and the number with equal times."""
    equal, timed = {}, {}
    for name in PASSES:
        outputs = ours.details["passes"][name]
        equal[name] = sum(one["text"] == text for one, text in zip(outputs, reference.texts, strict=True))
        timed[name] = sum(
            _near(one["times"], times) for one, times in zip(outputs, reference.details["times"], strict=True)
        )
    return equal, timed


def _all_equal(reference: Run, ours: Run, place: int) -> bool:
    return all(ours.details["passes"][name][place]["text"] == reference.texts[place] for name in PASSES)


def _near(times: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> bool:
    """Whether two lists of [start, end] have the same length and close values."""
    if len(times) != len(others):
        return False
    pairs: Any = zip(times, others, strict=True)
    return all(abs(a - b) <= TOLERANCE_MS for one, other in pairs for a, b in zip(one, other, strict=True))
