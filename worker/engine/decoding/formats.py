"""The container formats that are accepted, and their usual file extensions.

A file is judged by its bytes, never by its name. Clients use the extensions to choose files in a folder:
`python -m docs.generate` writes them into the command line and the console.
"""

from __future__ import annotations

# Names of FFmpeg's demuxers. SILK has a decoder of its own.
EXTENSIONS: dict[str, tuple[str, ...]] = {
    "aac": ("aac", "adts"),
    "ac3": ("ac3",),
    "aiff": ("aif", "aifc", "aiff"),
    "amr": ("amr", "3ga"),
    "amrnb": ("amr",),
    "amrwb": ("awb",),
    "ape": ("ape", "apl", "mac"),
    "asf": ("asf", "wma", "wmv"),
    "au": ("au", "snd"),
    "avi": ("avi",),
    "caf": ("caf",),
    "dsf": ("dsf",),
    "dts": ("dts",),
    "eac3": ("ec3", "eac3"),
    "flac": ("flac",),
    "flv": ("f4v", "flv"),
    "gsm": ("gsm",),
    "loas": ("latm", "loas"),
    "matroska": ("mk3d", "mka", "mkv", "weba", "webm"),
    "mov": ("3g2", "3gp", "f4a", "ism", "isma", "ismv", "m4a", "m4b", "m4r", "m4v", "mj2", "mov", "mp4", "qt"),
    "mp3": ("m2a", "mp2", "mp3", "mpa", "mpga"),
    "mpc": ("mpc",),
    "mpc8": ("mpc",),
    "mpeg": ("mpeg", "mpg", "vob"),
    "mpegts": ("m2t", "m2ts", "mts", "ts"),
    "ogg": ("oga", "ogg", "ogv", "ogx", "opus", "spx"),
    "qcp": ("qcp",),
    "rm": ("ra", "rm", "rmvb"),
    "silk": ("silk", "slk"),
    "tak": ("tak",),
    "tta": ("tta",),
    "voc": ("voc",),
    "w64": ("w64",),
    "wav": ("rf64", "wav", "wave"),
    "wv": ("wv",),
}
ALL_EXTENSIONS = tuple(sorted({extension for names in EXTENSIONS.values() for extension in names}))
