"""Known voices: people whom a tenant has enrolled from speakers of transcripts, and whom later transcripts name.

Voice prints are biometric data. They are kept only for tenants that have switched this on, never leave the service, and
are deleted with the voice or the transcript that they belong to. No function here returns one.
"""

from common.voices.prints import Heard, Place, copy, forget_unwanted, keep, merge, permitted
from common.voices.rows import MAX_SAMPLES, MAX_VOICES, create, enrol, get, page, remove, rename
from common.voices.values import Sample, Source, Voice, VoicePage

__all__ = [
    "MAX_SAMPLES",
    "MAX_VOICES",
    "Heard",
    "Place",
    "Sample",
    "Source",
    "Voice",
    "VoicePage",
    "copy",
    "create",
    "enrol",
    "forget_unwanted",
    "get",
    "keep",
    "merge",
    "page",
    "permitted",
    "remove",
    "rename",
]
