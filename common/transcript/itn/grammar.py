"""Which numbers in a text are written in digits, and how.

The grammar is a list of kinds (dates, times, percentages, …), each a pattern with a function that writes a match, or
refuses it. What no kind accepts stays as it was spoken: single digits without a unit (一个, 第一次, 张三), approximate
numbers (三五个, 十二三岁), idioms and names.
Every replacement is checked: what it leaves out may only be signs of number.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from common.transcript.itn import english
from common.transcript.itn.kept import KEPT
from common.transcript.itn.numerals import NUMERALS, cardinal, digits, written

Write = Callable[[re.Match[str]], str | None]

RUN = f"[{NUMERALS}]+"
CARDINAL = f"[{NUMERALS}]{{1,20}}"
PLAIN = "[零〇一二三四五六七八九幺]"
# Before a run, these make it approximate or part of a name; after a digit, a run is not a number of its own.
BEFORE = "(?<![0-9.几数双])"
DAYTIME = "上午|下午|早上|晚上|凌晨|中午|傍晚|清晨|今晚|明晚|昨晚|早晨|夜里|深夜|半夜"
# Units whose number is written in digits even below ten.
MEASURE = (
    "平方公里|平方米|立方米|公里|千米|厘米|毫米|微米|纳米|海里|公顷|公斤|千克|毫克|毫升|摄氏度|千瓦时|千瓦|兆瓦|赫兹|美元|欧元|日元|港元|"
    "英镑|港币|人民币|块钱|小时|分钟|秒钟|毫秒|百分点|周岁|"
    "米|吨|克(?![服拉林隆])|升(?![级高起华降学值温职])|度(?![假过日])|倍|折|岁|楼(?!上|下)|秒|亩|元(?![桥里一二论次化素旦老首帅件])|毛钱|兆|寸"
)
AFTER_RANGE = f"{MEASURE}|个|名|位|天|年|月|周|次|人|件|条|台|套|章|页|号|点|倍|万|亿|块"
STRIPPED = re.compile(r"[零〇一二两三四五六七八九十百千万亿幺点负分之半刻比0-9.%‰:/\-]|[A-Za-z ]")


def normalized(text: str) -> str:
    """Return the text with its numbers in digits; text without numbers comes back as it is."""
    if not _ANY.search(text):
        return text
    pieces: list[str] = []
    position = 0
    for start in _START.finditer(text):
        if start.start() < position:
            continue
        spoken, said = _span(text, start.start())
        pieces += [text[position : start.start()], said]
        position = start.start() + len(spoken)
    return english.normalized("".join(pieces) + text[position:])


def _span(text: str, position: int) -> tuple[str, str]:
    """Return the number at a position as it is spoken, and as the first kind that accepts it writes it."""
    for pattern, write in _PATTERNS:
        match = pattern.match(text, position)
        if match is None:
            continue
        if write is None:
            return match[0], match[0]
        result = write(match)
        if result is not None and STRIPPED.sub("", match[0]) == STRIPPED.sub("", result):
            return match[0], result
    return text[position], text[position]


def _small(text: str, most: int) -> int | None:
    value = cardinal(text)
    return value if value is not None and value <= most else None


def _decimal(text: str) -> str | None:
    """Write a cardinal, or a decimal fraction with an optional 万 or 亿 behind it."""
    sign = "-" if text.startswith("负") else ""
    whole, dot, fraction = text.removeprefix("负").partition("点")
    if not dot:
        value = written(whole)
        return None if value is None else sign + value
    unit = fraction[-1] if fraction[-1] in "万亿" else ""
    number, after = cardinal(whole), digits(fraction.removesuffix(unit) if unit else fraction)
    if number is None or after is None or number >= 10_000:
        return None
    return f"{sign}{number}.{after}{unit}"


def _percent(match: re.Match[str]) -> str | None:
    sign = {"百": "%", "千": "‰"}[match["percent_of"]]
    values = [
        "100" if text == "百" else _decimal(text) for text in (match["percent_low"], match["percent_high"]) if text
    ]
    if any(value is None for value in values):
        return None
    return match["percent_to"].join(f"{value}{sign}" for value in values) if len(values) == 2 else f"{values[0]}{sign}"


def _fraction(match: re.Match[str]) -> str | None:
    low, high = cardinal(match["below"]), cardinal(match["above"])
    return f"{high}/{low}" if low and high else None


def _year(match: re.Match[str]) -> str | None:
    text = match["year_digits"]
    value = digits(text)
    if value is None or (len(text) == 2 and int(value[1]) - int(value[0]) == 1 and value[0] != "0"):
        return None  # 二三年 are two or three years
    return value + "年"


def _date(match: re.Match[str]) -> str | None:
    month, day = _small(match["month"], 12), match["day"]
    if not month:
        return None
    if not day:
        return f"{month}月" if not match["day_unit"] else None
    number = _small(day, 31)
    return f"{month}月{number}{match['day_unit'] or ''}" if number else None


def _clock(match: re.Match[str]) -> str | None:
    """Write a time of day. Without a word such as 下午 before it, 三点五 is a decimal fraction and 三点 a count."""
    hour = _small(match["hour"], 24)
    if hour is None:
        return None
    daytime, minute, special = match["daytime"] or "", match["minute"], match["special"]
    if special in ("钟", "整"):
        return f"{daytime}{hour}点{special}"
    if special:
        return f"{daytime}{hour}:{ {'半': 30, '一刻': 15, '三刻': 45}[special] }"
    if minute:
        return _with_minutes(daytime, hour, minute, said=bool(match["minute_unit"]))
    return f"{daytime}{hour}点" if daytime or hour > 10 else None


def _with_minutes(daytime: str, hour: int, minute: str, *, said: bool) -> str | None:
    value = cardinal(minute[1:] if minute[0] in "零〇" and len(minute) == 2 else minute)
    if value is None or value > 59 or not (daytime or said or "十" in minute):
        return None
    if not said and len(minute) == 1 and minute != "十":
        return None
    return f"{daytime}{hour}点{value}分" if said else f"{daytime}{hour}:{value:02}"


def _clock_range(match: re.Match[str]) -> str | None:
    low, high = _small(match["from_hour"], 24), _small(match["to_hour"], 24)
    if low is None or high is None:
        return None
    return f"{match['from_day'] or ''}{low}点{match['hours_to']}{match['to_day'] or ''}{high}点"


def _range(match: re.Match[str]) -> str | None:
    low, high = _decimal(match["low"]), _decimal(match["high"])
    return None if low is None or high is None else f"{low}{match['to']}{high}"


def _ratio(match: re.Match[str]) -> str | None:
    left, right = cardinal(match["left"]), cardinal(match["right"])
    return None if left is None or right is None or max(left, right) > 999 else f"{left}:{right}"


def _money(match: re.Match[str]) -> str | None:
    whole, part = written(match["coins"]), _small(match["dimes"], 9)
    return f"{whole}块{part}" if whole is not None and part else None


def _dotted(match: re.Match[str]) -> str | None:
    groups = [digits(group) for group in match[0].split("点")]
    return None if None in groups else ".".join(group or "" for group in groups)


def _number(match: re.Match[str]) -> str | None:
    text = match["number_text"]
    if "点" in text:
        return _with_unit(text, match["unit"] or "")
    value = digits(text) if len(text) > 2 else None
    if value is not None:
        return None if _counted(value) else value
    plain = text.removeprefix("负")
    if match["unit"] or text != plain:
        return _with_unit(text, match["unit"] or "")
    return written(text) if len(text) > 1 else None


def _with_unit(text: str, unit: str) -> str | None:
    if (text, unit) in (("一", "度"), ("一", "元"), ("一", "寸")):
        return None
    value = _decimal(text)
    return None if value is None else value + unit


def _counted(value: str) -> bool:
    """Whether digits are a count (一二三), or an idiom like 七七八八, and no number."""
    steps = {int(b) - int(a) for a, b in itertools.pairwise(value)}
    if steps == {0}:
        return len(value) < 4
    if len(value) == 4 and value[0] == value[1] and value[2] == value[3] and "0" not in value:
        return True
    return len(steps) == 1


_SIGNED = "(?:(?<![胜自抱辜肩正])负)?"
_AMOUNT = f"{_SIGNED}{CARDINAL}(?:点{PLAIN}+[万亿]?)?"
_KINDS: tuple[tuple[str, Write | None], ...] = (
    (KEPT, None),
    (
        f"(?P<percent_of>[百千])分之(?P<percent_low>{_AMOUNT}|百)(?:(?P<percent_to>到|至)(?P<percent_high>{_AMOUNT})"
        f"(?!分之|点|[{NUMERALS}0-9]))?(?![{NUMERALS}0-9])",
        _percent,
    ),
    (f"{BEFORE}(?P<below>{CARDINAL})分之(?P<above>{CARDINAL})", _fraction),
    (f"{BEFORE}(?<![{NUMERALS}])(?P<year_digits>{PLAIN}{{4}}|[零〇五六七八九]{PLAIN})年", _year),
    (
        f"{BEFORE}(?P<month>[一二三四五六七八九十]{{1,2}})月(?:(?P<day>[一二三四五六七八九十]{{1,3}})(?P<day_unit>[号日])?)?"
        f"(?![{NUMERALS}0-9])",
        _date,
    ),
    (
        f"(?P<from_day>{DAYTIME})?{BEFORE}(?P<from_hour>[{NUMERALS}]{{1,3}})点(?P<hours_to>到|至)(?P<to_day>{DAYTIME})?(?P<to_hour>[{NUMERALS}]{{1,3}})点(?![{NUMERALS}半0-9])",
        _clock_range,
    ),
    (f"{BEFORE}{PLAIN}+(?:点{PLAIN}+){{2,}}", _dotted),
    (
        f"(?P<daytime>{DAYTIME})?{BEFORE}(?P<hour>[{NUMERALS}]{{1,3}})点(?:(?P<special>半|一刻|三刻|整|钟)"
        f"|(?P<minute>[零〇一二三四五六七八九十]{{1,3}})(?P<minute_unit>分(?!之))?(?![{NUMERALS}点0-9])|(?![{NUMERALS}半0-9]))",
        _clock,
    ),
    (
        f"{BEFORE}(?P<low>{_AMOUNT})(?P<to>到|至)(?P<high>{_AMOUNT})(?=(?:{AFTER_RANGE})(?!半))",
        _range,
    ),
    (f"{BEFORE}(?P<left>{CARDINAL})比(?P<right>{CARDINAL})(?![大小多少高低好差长短快慢{NUMERALS}0-9])", _ratio),
    (f"{BEFORE}(?P<coins>{CARDINAL})块(?P<dimes>[一二两三四五六七八九])(?=毛|[，。、；！？]|$)", _money),
    (
        f"{BEFORE}(?P<number_text>{_AMOUNT})(?P<unit>{MEASURE}|号|[GKD](?![a-z]))?(?![几{NUMERALS}0-9]|点[{NUMERALS}0-9])",
        _number,
    ),
    (f"[几数双]?{RUN}", None),
)
_PATTERNS = tuple((re.compile(pattern), write) for pattern, write in _KINDS)
_START = re.compile(f"(?:{DAYTIME}|周|星期|礼拜|初|腊月|正月|冬月|飘|凋|归|[{NUMERALS}负第几数双])")
_ANY = re.compile(f"[{NUMERALS}]|{english.WORD.pattern}", re.IGNORECASE)
