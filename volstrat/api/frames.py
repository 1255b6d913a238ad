"""Tables as pandas has them; pandas is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volstrat.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def data_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame in which null stays apart from false, zero and empty.

    Raises
    ------
    UsageError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        msg, hint = "pandas is not installed.", "In the checkout, install the extra: pip install '.[pandas]'."
        raise UsageError(msg, hint=hint) from error
    import pyarrow as pa

    kinds = {pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype(), pa.int64(): pd.Int64Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=kinds.get)
    return frame
