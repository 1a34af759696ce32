"""File names from links and headers: decoded once, and safe to store."""

from __future__ import annotations

import pytest

from common.file_names import UniqueNames, of_disposition, of_link

CHINESE = "会议"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/%E4%BC%9A%E8%AE%AE.mp3?signature=a/b#c/d", "会议.mp3"),
        ("https://example.com/a/会议.mp3", "会议.mp3"),
        ("https://example.com/100%2525.mp3", "100%25.mp3"),
        ("https://example.com/%BB%E1%D2%E9.mp3", "会议.mp3"),  # GBK
        ("https://example.com/%2e%2e%2fetc%2fpasswd", "passwd"),
        ("https://example.com/a%00%0a%1bb.mp3", "ab.mp3"),
        ("https://example.com/" + "%E4%BC%9A" * 300, "会" * 255),
        ("https://example.com/a/", None),
        ("https://example.com", None),
        ("s3://bucket/what?/a%20b#1.mp3", "a b#1.mp3"),
        ("oss://bucket/", None),
    ],
)
def test_names_of_links_are_decoded_once(url: str, name: str | None) -> None:
    assert of_link(url) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=a.mp3", "a.mp3"),
        ("attachment; filename=\"a.mp3\"; filename*=UTF-8''%E4%BC%9A%E8%AE%AE.mp3", "会议.mp3"),
        ("attachment; filename*=UTF-8''%E4%BC%9A%2520.mp3; filename=x.mp3", "会%20.mp3"),
        ("attachment; filename*=GBK''%BB%E1%D2%E9.mp3", "会议.mp3"),
        ('inline; filename="a;b \\"c\\".mp3"', 'a;b "c".mp3'),
        ("attachment; filename=%E4%BC%9A%E8%AE%AE.mp3", "会议.mp3"),
        (f"attachment; filename={CHINESE}.mp3".encode().decode("latin-1"), "会议.mp3"),
        (f'attachment; filename="{CHINESE}.mp3"'.encode("gbk").decode("latin-1"), "会议.mp3"),
        ('attachment; filename="..\\..\\secret/a\x00.mp3"', "a.mp3"),
        ('attachment; filename=""', None),
        ("attachment", None),
        ("", None),
        (None, None),
        ("attachment; filename*1;,;filename*", None),
        (f"attachment; filename*{'9' * 5000}*=a", None),
    ],
)
def test_names_of_content_disposition(header: str | None, name: str | None) -> None:
    assert of_disposition(header) == name


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("季度会议", "季度会议.txt"),
        ("../../etc/passwd", "_.._etc_passwd.txt"),
        ("C:\\a:b?", "C__a_b_.txt"),
        ("a\x00\n\u202eb", "a___b.txt"),
        (" . ", "_.txt"),
        ("", "_.txt"),
        ("con", "_con.txt"),
        ("LPT1.2026", "_LPT1.2026.txt"),
        ("console", "console.txt"),
        ("会" * 100, "会" * 66 + ".txt"),
    ],
)
def test_names_of_files_suit_every_system(stem: str, name: str) -> None:
    assert UniqueNames().of(stem, "txt") == name


def test_names_of_files_are_unique_also_without_case() -> None:
    names = UniqueNames(["errors.txt"])
    stems = ["a", "A", "a (2)", "a", "errors", "e\u0301", "\u00e9", "ß", "ss"]
    found = [names.of(stem, "txt") for stem in stems]
    expected = ["a", "A (2)", "a (2) (2)", "a (3)", "errors (2)", "\u00e9", "\u00e9 (2)", "ß", "ss (2)"]
    assert found == [f"{stem}.txt" for stem in expected]
