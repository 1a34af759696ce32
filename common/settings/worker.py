"""Model bundles, the engine and decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.settings.types import GIBIBYTE, Count, Seconds, SettingsGroup


class ModelSettings(SettingsGroup):
    """Models"""

    model: str = Field(
        "paraformer-large-zh", description="Model bundle to run; `demo-zh` is included in the repository."
    )
    model_source: str = Field(
        "modelscope,huggingface",
        description="Hubs (`modelscope`, `huggingface`, comma-separated) to download missing bundles from; "
        "if one fails, the next is tried. `local`: never download.",
    )
    model_repositories: str = Field(
        "",
        description="Repositories to use instead of those in the bundle's definition, on the first hub: "
        "`asr=ORG/NAME@REVISION,vad=…,punc=…`.",
    )
    modelscope_url: str = Field("https://www.modelscope.cn", description="URL of ModelScope or a compatible mirror.")
    huggingface_url: str = Field("https://huggingface.co", description="URL of Hugging Face or a compatible mirror.")
    huggingface_token: SecretStr | None = Field(None, description="Token for private repositories on Hugging Face.")
    models_dir: Path = Field(
        Path("models"), description="Directory of model bundles, one folder per bundle, and of your own definitions."
    )

    @field_validator("model_source")
    @classmethod
    def _known_hubs(cls, value: str) -> str:
        hubs = [item.strip() for item in value.split(",")]
        if hubs != ["local"] and not (set(hubs) <= {"modelscope", "huggingface"} and len(set(hubs)) == len(hubs)):
            raise ValueError("is not `local`, or a list of `modelscope` and `huggingface`")
        return ",".join(hubs)

    @property
    def model_hubs(self) -> list[str]:
        """The hubs that a bundle may be downloaded from, in order; none: it is never downloaded."""
        return [] if self.model_source == "local" else self.model_source.split(",")


class WorkerSettings(SettingsGroup):
    """Worker"""

    device: str = Field(
        "auto", description="`cpu`, `cuda:0`, or `auto`: the first GPU if there is one, otherwise the CPU."
    )
    precision: Literal["fp32", "int8", "bf16", "fp16"] = Field(
        "fp32", description="Numeric precision of recognition: `int8` for CPUs, `bf16` and `fp16` for GPUs."
    )
    worker_slots: Count = Field(4, description="Jobs that one worker process runs concurrently.")
    torch_threads: int = Field(0, ge=0, description="CPU threads per operation. 0: one per core.")
    batch_seconds: Seconds | None = Field(
        None, description="Batch budget in seconds of padded audio. Unset: measured at startup."
    )
    max_segment_seconds: Seconds = Field(30, description="Maximum length of a speech segment; longer ones are split.")
    segmentation: Literal["fixed", "dynamic"] = Field(
        "fixed",
        description="Voice activity detection mode: `fixed` ends a segment after 0.8 s of silence; `dynamic`, the "
        "default of FunASR, decides every 60 s between 2 s and 0.2 s (docs/models.md).",
    )
    part_seconds: Seconds = Field(300, description="Approximate amount of audio per committed part.")
    decode_cpu_seconds: Count = Field(3600, description="CPU time limit for decoding one file.")
    decode_memory_bytes: Count = Field(2 * GIBIBYTE, description="Address space limit of the decoding process.")
