"""Reading Chinese numerals: strict, so that anything which is not exactly one number is left alone."""

from __future__ import annotations

DIGITS = {char: value for value, chars in enumerate(("零〇", "一幺", "二两", *"三四五六七八九")) for char in chars}
UNITS = {"十": 10, "百": 100, "千": 1000}
SECTIONS = {"万": 10**4, "亿": 10**8}
NUMERALS = "".join(DIGITS) + "".join(UNITS) + "".join(SECTIONS)


def digits(text: str) -> str | None:
    """Return digits that are read one by one, such as 二零二六; None for anything else."""
    if not text or any(char not in DIGITS or char == "两" for char in text):
        return None
    return "".join(str(DIGITS[char]) for char in text)


def cardinal(text: str) -> int | None:
    """Return the value of a cardinal number such as 一千二百三十四万; None for anything else."""
    total, rest, limit = 0, text, 10**12
    for unit in ("亿", "万"):
        head, found, tail = rest.partition(unit)
        if not found:
            continue
        value = _section(head)
        if value is None or value == 0 or SECTIONS[unit] >= limit:
            return None
        total += value * SECTIONS[unit]
        limit, rest = SECTIONS[unit], tail
        if rest == "":
            return total
    return _with_tail(total, rest, text)


def _with_tail(total: int, rest: str, text: str) -> int | None:
    """Add what follows the last 万 or 亿: another section, or a single digit that counts the next smaller unit."""
    if total and len(rest) == 1 and rest in DIGITS and rest not in "零〇":
        return total + DIGITS[rest] * (SECTIONS[text[-2]] // 10)  # 三万五 is 35000
    value = _section(rest)
    if value is None or (value == 0 and total):
        return None
    if total and value < 1000 and rest[0] not in "零〇":
        return None  # 一万三百 is not a number: it would be 一万零三百
    return total + value


def _section(text: str) -> int | None:
    """Return the value of a number below ten thousand."""
    if len(text) == 1 and text in DIGITS and text != "幺":
        return DIGITS[text]
    total, limit, position, gap = 0, 10_000, 0, False
    while position < len(text):
        char = text[position]
        if char in "零〇":
            if gap or position + 1 == len(text):
                return None
            gap, position = True, position + 1
            continue
        step = _digit_and_unit(text, position, first=position == 0)
        if step is None:
            return None
        digit, unit, position = step
        if unit >= limit:
            return None
        if unit == 1 and limit > 10 and not gap:
            if limit == 10_000 or position != len(text) or digit == 0:
                return None
            unit = limit // 10  # 一百二 is 120
        total, limit, gap = total + digit * unit, unit, False
    return total or None


def _digit_and_unit(text: str, position: int, *, first: bool) -> tuple[int, int, int] | None:
    """Return a digit, its unit (1 without one) and the position after both."""
    char = text[position]
    if char == "十" and first:
        return 1, 10, position + 1
    if char not in DIGITS or char == "幺":
        return None
    following = text[position + 1 : position + 2]
    if following in UNITS:
        return (DIGITS[char], UNITS[following], position + 2) if following != "十" or char != "两" else None
    return (DIGITS[char], 1, position + 1) if char != "两" else None


def written(text: str) -> str | None:
    """Return a cardinal in digits as it is usually written: 12345, 1234万, 3亿5000万; None for anything else."""
    value = cardinal(text)
    if value is None:
        return None
    if value < 10_000:
        return str(value)
    hundred_millions, rest = divmod(value, 10**8)
    if text[-1] in "万亿":
        pieces = [f"{hundred_millions}亿"] if hundred_millions else []
        pieces += [f"{rest // 10_000}万"] if rest else []
        return "".join(pieces)
    if text[-2] in SECTIONS and text[-1] in DIGITS:
        unit = text[-2]
        return f"{value / SECTIONS[unit]:.10g}{unit}"  # 三万五 is 3.5万
    return str(value)
