"""Statements of the busiest calls, compiled once and run past SQLAlchemy.

For a row of forty columns, SQLAlchemy's execution takes ten times as long as psycopg's: it describes each column of
each result, and begins and ends a transaction. What runs here is one statement, a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import ARRAY, Executable
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.sql.compiler import SQLCompiler

DIALECT = dialect()  # type: ignore[no-untyped-call]
Processor = Callable[[Any], Any]


class Prepared:
    """A statement that returns rows; they come as plain tuples of what psycopg makes of their values."""

    def __init__(self, statement: Executable, inserted: Collection[str] | None = None) -> None:
        """Compile the statement; for an INSERT without values, `inserted` are the columns that get some.

        Raises ValueError for what needs more than psycopg: values that change the text, results that are converted.
        """
        compiled = statement.compile(dialect=DIALECT, column_keys=inserted)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        if compiled.post_compile_params:
            raise ValueError("the statement has lists of parameters; use arrays")
        for result in compiled._result_columns:
            kind = result.type.item_type if isinstance(result.type, ARRAY) else result.type
            if kind.dialect_impl(DIALECT).result_processor(DIALECT, None) is not None:
                raise ValueError(f"the values of {result.keyname} would have to be converted")
        self.sql: str = compiled.string
        self._constants = dict(compiled.params)
        processors = {name: _processor(bind.type) for name, bind in compiled.binds.items()}
        self._processors = {name: process for name, process in processors.items() if process is not None}

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters of a run, as psycopg takes them; those of other names are ignored."""
        given = {**self._constants, **values}
        for name, process in self._processors.items():
            given[name] = process(given[name])
        return given


def _processor(kind: Any) -> Processor | None:
    processor: Processor | None = kind.dialect_impl(DIALECT).bind_processor(DIALECT)
    return processor
