"""The words of a search, and the keys under which the indexes of letters hold them.

The functions `search_folded` and `search_grams` (migrations/sql) define both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.errors import QueryCanceled
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from common.errors import InvalidRequest

# A single letter may occur in every text of a tenant: a search must not occupy PostgreSQL without a limit.
TIMEOUT_MS = 2000


@contextmanager
def in_time(session: Session, parameter: str) -> Iterator[None]:
    """Limit the time of a search. Raises InvalidRequest, which names the query's parameter, when it is over."""
    session.execute(text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
    # A plan that knows the letters: how common they are decides how to look for them.
    session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, QueryCanceled):
            raise InvalidRequest(
                f"`{parameter}` stands in too many places to search them all; look for longer words"
            ) from None
        raise


def folded(session: Session, query: str) -> list[str]:
    """Return the words of a query, which white space separates, as they are compared."""
    return [session.scalar(select(func.search_folded(word))) or "" for word in query.split()]


def grams_of(session: Session, tenant: str, words: list[str], parameter: str) -> tuple[list[int], bool]:
    """Return the index keys of a query: the pairs of each word, or its single letters if it has no pairs.

    Also whether any word has pairs: single letters stand in too many sentences for an index to help. Raises
    InvalidRequest, which names the query's parameter, if there is nothing to look for.
    """
    grams: set[int] = set()
    has_pairs = False
    for word in words:
        for shortest in (2, 1):
            word_grams = session.scalar(select(func.search_grams(tenant, word, shortest)))
            if word_grams:
                grams.update(word_grams)
                has_pairs = has_pairs or shortest == 2
                break
    if not grams:
        raise InvalidRequest(f"`{parameter}` contains no letter or digit")
    return sorted(grams), has_pairs
