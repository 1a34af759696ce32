"""Which of the earlier revisions of corrections are kept: a number of texts, and as many confirmations.

A person who checks the words of a sentence one by one writes many revisions with the same text. They must not push out
the texts that were there before.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Over, Select, and_, func, or_, select

from common.models import EarlierEditRow


def newest(where: ColumnElement[bool], most: int) -> Select[Any]:
    """Select number and revision of those that are kept among the rows of `where`, which are of one run.

    These are, of each sentence, the newest `most` texts, and the newest `most` confirmations behind the oldest of them.
    A confirmation is a revision with the text of the one before.
    """
    revision = EarlierEditRow.revision
    confirms = and_(
        _before(revision).is_not(None), EarlierEditRow.text.is_not_distinct_from(_before(EarlierEditRow.text))
    )
    told = select(EarlierEditRow.number, revision, confirms.label("confirms")).where(where).subquery().c
    since = told.revision.desc()
    counted = select(
        *(told.number, told.revision, told.confirms),
        func.count().filter(~told.confirms).over(partition_by=told.number, order_by=since).label("texts"),
        func.count().filter(told.confirms).over(partition_by=told.number, order_by=since).label("confirmations"),
    )
    kept = counted.subquery().c
    return select(kept.number, kept.revision).where(kept.texts <= most, or_(~kept.confirms, kept.confirmations <= most))


def _before(column: Any) -> Over[Any]:
    """The value of the revision before that is there."""
    return func.lag(column).over(partition_by=EarlierEditRow.number, order_by=EarlierEditRow.revision)
