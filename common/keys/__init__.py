"""API keys: who may call, for which tenant, and how much. A key is shown once; what is kept is its hash."""

from common.keys.rows import (
    ADMIN_KEY_ID,
    HINT_CHARACTERS,
    all_keys,
    authenticated,
    create,
    digest_of,
    ensure_admin_key,
    get_key,
    key_page,
    names_of,
    new_secret,
    revoke,
    rotate,
)
from common.keys.values import ALL_SCOPES, ApiKey, KeyPage, Maker, NewKey, Scope

__all__ = [
    "ADMIN_KEY_ID",
    "ALL_SCOPES",
    "HINT_CHARACTERS",
    "ApiKey",
    "KeyPage",
    "Maker",
    "NewKey",
    "Scope",
    "all_keys",
    "authenticated",
    "create",
    "digest_of",
    "ensure_admin_key",
    "get_key",
    "key_page",
    "names_of",
    "new_secret",
    "revoke",
    "rotate",
]
