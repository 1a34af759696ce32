"""Settings of known voices."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.settings.types import SettingsGroup


class VoiceSettings(SettingsGroup):
    """Known voices"""

    voices: Literal["on", "off"] = Field(
        "off",
        description="`on`: tenants whose admin has switched voices on keep voice prints of speakers, which are "
        "biometric data, and recognise the voices that they have enrolled. `off`: prints of transcripts are deleted, "
        "and nothing is compared. For the API and all workers.",
    )
    voice_similarity: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Cosine of two voices from which on a speaker gets the name of a known voice (docs/quality.md).",
    )
