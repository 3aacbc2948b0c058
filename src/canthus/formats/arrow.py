"""pyarrow, which the extra `parquet` installs."""

from typing import Any

from canthus.errors import need


def arrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        ExtraMissingError: they are not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise need("parquet") from error
    return pyarrow, parquet
