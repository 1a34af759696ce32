"""Checks of the local machine: programs, model, device, disks, and secrets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from admin import gpus
from admin.checks import Check, Found, Level
from common import keys
from common.db import Database
from common.errors import ModelUnavailable, ParaqueueError
from common.settings import GIBIBYTE, Settings
from worker.engine.bundles import bundles
from worker.engine.decoding import messages
from worker.engine.decoding.process import Child, Order

DECODER_SECONDS = 60.0
# A tenth of a second of silence: 16 kHz, one channel, 16 bit.
SILENT_WAV = b"RIFF\xa4\x0c\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\x80\x0c\0\0" + bytes(3200)
TORCH_SECONDS = 120.0
LEAST_FREE_BYTES = GIBIBYTE
TORCH = (
    "import torch; n = torch.cuda.device_count(); "
    "print(torch.__version__, *[torch.cuda.get_device_name(i) for i in range(n)], sep='; ')"
)


def model(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that the model bundle on disk is complete."""
    spec = bundles.bundle_spec(settings.model, settings.models_dir)
    try:
        paths = bundles.locate(spec, settings.models_dir)
    except ModelUnavailable as error:
        if not settings.model_hubs:
            return Found(Level.FAIL, error.message, "docs/models.md lists the files to put there")
        problem = error.message
        return Found(Level.WARN, problem, "a worker here downloads it at its start; python -m admin model does so now")
    return Found(Level.OK, f"{paths.name} ({paths.revision}) in {paths.asr.parent}")


def decoder(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that the decoding process starts under its limits and decodes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "silence.wav")
        path.write_bytes(SILENT_WAV)
        try:
            with path.open("rb", buffering=0) as file:
                child = Child(
                    file,
                    Order("pcm"),
                    cpu_seconds=settings.decode_cpu_seconds,
                    memory_bytes=settings.decode_memory_bytes,
                    idle_seconds=DECODER_SECONDS,
                )
        except ParaqueueError as error:
            return Found(Level.FAIL, error.message, "pip install --force-reinstall av")
        try:
            decoded = sum(len(payload) for kind, payload in child.messages() if kind == messages.SOUND)
        except ParaqueueError as error:
            return Found(
                Level.FAIL, error.message, "see PARAQUEUE_DECODE_MEMORY_BYTES; pip install --force-reinstall av"
            )
        finally:
            child.close()
    version_text = f"PyAV {version('av')}"
    return (
        Found(Level.OK, version_text)
        if decoded == 3200
        else Found(Level.FAIL, f"{version_text} decodes wrongly", "reinstall av")
    )


def device(settings: Settings, *, deep: bool) -> Found:
    """Check which GPUs the driver reports, without loading torch; with `deep`, check what torch reports."""
    if deep:
        return _device_by_torch(settings)
    cards = gpus.gpus()
    if settings.device.startswith("cuda") and not cards:
        hint = "is the driver installed, and the GPU given to this container?"
        return Found(Level.FAIL, f"{settings.device} is asked for, and the driver shows no GPU", hint)
    if settings.device == "cpu" or not cards:
        return Found(Level.OK, f"CPU, {os.cpu_count()} cores")
    return _gpus_found(settings, cards)


def _gpus_found(settings: Settings, cards: list[gpus.Gpu]) -> Found:
    described = "; ".join(f"{gpu.name}, driver {gpu.driver}" if gpu.driver else gpu.name for gpu in cards)
    cuda = gpus.cuda_of_torch()
    problems = [problem for gpu in cards if (problem := gpus.problem(gpu, cuda)) is not None]
    if problems:
        level = Level.FAIL if settings.device.startswith("cuda") else Level.WARN
        return Found(level, f"{described}: {problems[0][0]}", problems[0][1])
    old = [gpu.name for gpu in cards if gpu.capability is not None and gpu.capability < gpus.BFLOAT16_CAPABILITY]
    if settings.precision == "bf16" and old:
        return Found(Level.WARN, f"{old[0]} computes bf16 in software", "set PARAQUEUE_PRECISION=fp16")
    return Found(Level.OK, described)


def _device_by_torch(settings: Settings) -> Found:
    """Check in a separate process: torch takes seconds and much memory to load, and a broken driver can crash it."""
    command = [sys.executable, "-c", TORCH]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TORCH_SECONDS, check=False)
    if ran.returncode != 0:
        last = (ran.stderr.strip().splitlines() or [f"it ends with {ran.returncode}"])[-1]
        return Found(Level.FAIL, f"torch: {last}", "--deep needs the worker's packages")
    version, *names = ran.stdout.strip().split("; ")
    if settings.device.startswith("cuda") and not names:
        return Found(Level.FAIL, f"torch {version} sees no GPU", "a build of torch for CUDA, and a driver for it")
    return Found(Level.OK, f"torch {version}; {'; '.join(names) or 'CPU'}")


def disk(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that the configured directories have room for one file of the maximum size."""
    places = {"scratch": settings.scratch_dir}
    if settings.storage_url.startswith("file:"):
        places["storage"] = Path(settings.storage_url.removeprefix("file:"))
    free = {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()}
    free_text = ", ".join(f"{name} {size / GIBIBYTE:.1f} GiB free" for name, size in free.items())
    least = min(free.values())
    if least < LEAST_FREE_BYTES:
        return Found(Level.FAIL, free_text, "make room: uploads and jobs fail without it")
    if least < settings.max_upload_bytes:
        hint = f"an upload may have {settings.max_upload_bytes / GIBIBYTE:.1f} GiB (PARAQUEUE_MAX_UPLOAD_BYTES)"
        return Found(Level.WARN, free_text, hint)
    return Found(Level.OK, free_text)


def _existing(path: Path) -> Path:
    """Return the path, or its nearest existing parent: the processes create the rest."""
    return next(item for item in (path.absolute(), *path.absolute().parents) if item.exists())


def secrets(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that only authorized clients can call the API, that at least one can, and that webhooks can be signed."""
    if settings.auth == "off":
        return Found(Level.WARN, "PARAQUEUE_AUTH=off: who reaches the API may do everything", "set it to on")
    database = Database(settings.sqlalchemy_url, 1)
    try:
        valid = sum(key.revoked_at is None for key in keys.all_keys(database))
    finally:
        database.close()
    if not (valid or settings.admin_key or settings.jwt_secret or settings.jwt_jwks_url):
        hint = "python -m admin keys create first --scope submit --scope read --scope admin"
        return Found(Level.FAIL, "there is no API key: nobody can call", hint)
    unset = [f"{name} is not set: {effect}" for field, name, effect in SECRETS if not getattr(settings, field)]
    if unset:
        return Found(Level.WARN, "; ".join(unset), "see docs/webhooks.md")
    return Found(Level.OK, f"{valid} API keys; webhooks can be signed")


# What does not work without each secret.
SECRETS = (
    (
        "secret_key",
        "PARAQUEUE_SECRET_KEY",
        "no sign-in to the console, no webhook endpoints",
    ),
    ("webhook_secret", "PARAQUEUE_WEBHOOK_SECRET", "webhook_url is refused"),
)
CHECKS = {
    "model": Check(model, "see PARAQUEUE_MODEL and docs/models.md"),
    "decoder": Check(decoder, "pip install av"),
    "device": Check(device, "see PARAQUEUE_DEVICE"),
    "disk": Check(disk, "see PARAQUEUE_SCRATCH_DIR and PARAQUEUE_STORAGE_URL"),
    "secrets": Check(secrets, "is PostgreSQL up?"),
}
