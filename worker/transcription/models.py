"""Finds this installation's bundle on disk, or downloads it before the worker takes any job, never later.

`python -m worker.transcription.models` does only that, for images and machines that are prepared in advance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from common.errors import ModelUnavailable, ParaqueueError
from common.settings import ModelSettings, load_settings
from worker.engine.bundles import bundles
from worker.engine.bundles.bundles import BundlePaths, BundleSpec
from worker.engine.bundles.download import download
from worker.engine.bundles.hubs import HubAccess


def ensure_bundle(settings: ModelSettings, say: Callable[[str], None]) -> BundlePaths:
    """Return the paths of the bundle. If it is complete on disk, no other source is consulted.

    `say` receives a line per download step. A bundle that lacks nothing but its speaker model is used without it if
    that model cannot be downloaded. Raises ModelUnavailable, whose message explains how to install the files.
    """
    spec = bundles.bundle_spec(settings.model, settings.models_dir)
    paths: BundlePaths | None = None
    try:
        paths = bundles.locate(spec, settings.models_dir)
        if paths.spk is not None or bundles.SPEAKERS not in spec.sources or not settings.model_hubs:
            return paths
    except ModelUnavailable as error:
        if not settings.model_hubs or not (spec.sources or settings.model_repositories):
            by_hand = bundles.by_hand(spec, settings.models_dir / spec.name)
            raise ModelUnavailable(f"{error.message} {by_hand}") from None
    try:
        return _downloaded(settings, spec, say)
    except ModelUnavailable as error:
        if paths is None:
            raise
        say(f"{spec.name} is used without a speaker model: {error.message}")
        return paths


def _downloaded(settings: ModelSettings, spec: BundleSpec, say: Callable[[str], None]) -> BundlePaths:
    token = settings.huggingface_token
    access = HubAccess(
        settings.modelscope_url, settings.huggingface_url, token.get_secret_value() if token is not None else None
    )
    return download(spec, settings.model_hubs, settings.models_dir, access, say, settings.model_repositories)


def main() -> int:
    """Provide the bundle named in the settings."""
    try:
        settings = load_settings()
        paths = ensure_bundle(settings, print)
    except ParaqueueError as error:
        print(f"paraqueue: {error.message}", file=sys.stderr)
        return 1
    print(f"{paths.name} ({paths.revision}) is complete in {paths.asr.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
