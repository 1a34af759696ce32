"""The bundle of this installation on disk: found, or downloaded before any job is taken, never later.

`python -m worker.transcription.models` does only that, for images and for machines that are prepared ahead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from common.errors import ModelUnavailable, ParaqueueError
from common.settings import ModelSettings, load_settings
from worker.engine.bundles import bundles
from worker.engine.bundles.bundles import BundlePaths
from worker.engine.bundles.download import download
from worker.engine.bundles.hubs import HubAccess


def ensure_bundle(settings: ModelSettings, say: Callable[[str], None]) -> BundlePaths:
    """Where the bundle lies. One that is complete on disk is not looked up anywhere else.

    `say` gets a line per step of a download. Raises ModelUnavailable, which tells how to put the files in place.
    """
    spec = bundles.bundle_spec(settings.model, settings.models_dir)
    try:
        return bundles.locate(spec, settings.models_dir)
    except ModelUnavailable as error:
        if not settings.model_hubs or not (spec.sources or settings.model_repositories):
            by_hand = bundles.by_hand(spec, settings.models_dir / spec.name)
            raise ModelUnavailable(f"{error.message} {by_hand}") from None
    token = settings.huggingface_token
    access = HubAccess(
        settings.modelscope_url, settings.huggingface_url, token.get_secret_value() if token is not None else None
    )
    return download(spec, settings.model_hubs, settings.models_dir, access, say, settings.model_repositories)


def main() -> int:
    """Get the bundle that the settings name."""
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
