"""The extensions of audio and video files for the command line and the console, as modules of their own languages."""

from __future__ import annotations

import textwrap

from worker.engine.decoding.formats import ALL_EXTENSIONS


def client_extensions() -> str:
    """The Python module of the client with the extensions of audio and video files."""
    lines = _filled('"{}", ', 116)
    return (
        '"""Extensions of the files that the service can decode.\n\n'
        'Generated from worker/engine/decoding/formats.py by `python -m docs.generate`; do not edit.\n"""\n\n'
        "from __future__ import annotations\n\n# fmt: off\nEXTENSIONS = frozenset({\n"
        + "".join(f"    {line}\n" for line in lines)
        + "})\n# fmt: on\n"
    )


def console_extensions() -> str:
    """The module of the console with the same."""
    lines = _filled("'{}', ", 100)
    return (
        "// @ts-check\n// Generated from worker/engine/decoding/formats.py by `python -m docs.generate`; do not edit.\n"
        "export const EXTENSIONS = new Set([\n" + "".join(f"  {line}\n" for line in lines) + "]);\n"
    )


def _filled(form: str, width: int) -> list[str]:
    """The extensions, each written as `form`, in lines of at most `width` characters."""
    return textwrap.wrap("".join(form.format(extension) for extension in ALL_EXTENSIONS), width)
