"""The answer of calls whose result is made when somebody asks for it, and their errors."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from api.http.error_responses import errors_of
from common import errors

OF_RECORDINGS = errors_of(errors.AudioNotDecodable, errors.NotReady, errors.Expired, errors.StorageUnavailable)


class Preparing(BaseModel):
    """The result is not ready yet; ask again after `Retry-After` seconds."""

    status: Literal["preparing"] = "preparing"
