"""Arrow imports pandas when it is used, and then knows it as it always did."""

import subprocess
import sys

import pytest

pytest.importorskip("pandas")

USES = {
    "a series": "import pandas; import numpy; print(pyarrow.array(pandas.Series([1.5, numpy.nan, None])).null_count)",
    "a frame": "print(pyarrow.table({'a': [1, None]}).to_pandas()['a'].isna().sum())",
    "a frame, then a series": "print(pyarrow.table({'a': [1, None]}).to_pandas().pipe(lambda f: pyarrow.array(f['a'])).null_count)",
    "both ways": "import pandas; print(pyarrow.Table.from_pandas(pandas.DataFrame({'a': [1, None]}))['a'].null_count)",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_values_of_pandas_are_what_they_always_were(use: str) -> None:
    begin = "import sys, pyarrow; pyarrow.scalar(1)"
    left_out = (
        "import sys; from ingest_ray.process.unused_pandas import leave_out_pandas; leave_out_pandas(); leave_out_pandas()\n"
        "import pyarrow; pyarrow.scalar(1); pyarrow.array([1, None]); import pyarrow.dataset; assert 'pandas' not in sys.modules"
    )
    with_it, without = (
        subprocess.run([sys.executable, "-c", f"{first}\n{use}"], capture_output=True, text=True, check=True).stdout
        for first in (begin, left_out)
    )
    assert without == with_it
    assert with_it.strip() in ("1", "2")
