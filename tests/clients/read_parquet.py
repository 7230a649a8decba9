"""Opens what `kite-recording export` wrote with pandas and polars and checks the columns that docs/recording.md promises.

    pip install pandas pyarrow polars
    kite-recording export RECORDING --parquet FOLDER
    python3 read_parquet.py FOLDER [TICKS]

Exit code 0 when everything is as documented, an assertion otherwise. TICKS is how many ticks there must be.
"""

import pathlib
import re
import sys

import pandas as pd
import polars as pl

PANDAS = {
    "timestamp[ns, UTC]": "datetime64[ns, UTC]",
    "string": ("object", "str", "string"),
    "int64": ("int64", "float64"),  # float64 where a value can be null
    "double": "float64",
    "bool": "bool",
    "date": "object",
}
POLARS = {
    "timestamp[ns, UTC]": pl.Datetime("ns", "UTC"),
    "string": pl.String,
    "int64": pl.Int64,
    "double": pl.Float64,
    "bool": pl.Boolean,
    "date": pl.Date,
}


def documented(title):
    """The table of columns below the heading `title`: name, type, when null."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "recording.md"
    section = page.read_text().split(f"### {title}\n")[1].split("###")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", section, re.M)
    assert len(rows) > 50, rows
    return rows


def check(folder, title):
    path = folder / title
    in_pandas, in_polars = pd.read_parquet(path), pl.read_parquet(path)
    rows = documented(title)
    names = [name for name, _, _ in rows]
    assert list(in_pandas.columns) == names == in_polars.columns
    assert len(in_pandas) == in_polars.height > 0
    for name, kind, null in rows:
        allowed = PANDAS[kind]
        seen = str(in_pandas[name].dtype)
        assert seen in (allowed if isinstance(allowed, tuple) else (allowed,)), (name, seen)
        assert in_polars.schema[name] == POLARS[kind], (name, in_polars.schema[name])
        nulls = in_polars[name].null_count()
        assert null != "never" or nulls == 0, (name, nulls)
        assert int(in_pandas[name].isna().sum()) == nulls, name
        if kind == "double":
            both = zip(in_pandas[name].dropna(), in_polars[name].drop_nulls())
            assert all(one == other for one, other in both), name
    return in_pandas, in_polars


def main(folder, count):
    ticks, _ = check(folder, "ticks.parquet")
    assert count is None or len(ticks) == count, len(ticks)
    # Kite's prices are whole paise here: the double must be the nearest one to the decimal, not merely close.
    assert (ticks["last_price"] == (ticks["last_price"] * 100).round() / 100).all()
    assert ticks["ts_recv"].is_monotonic_increasing
    index = ticks[ticks["tradingsymbol"] == "NIFTY 50"]
    assert index["bid_price_1"].isna().all() and index["underlying"].isna().all() and index["open"].notna().all()
    assert str(index["ts_recv"].dt.tz_convert("Asia/Kolkata").iloc[0]).startswith("2026-11-20 09:30:00")
    options = ticks[ticks["option_type"].notna()]
    assert set(options["option_type"]) == {"CE", "PE"} and (options["underlying"] == "NIFTY").all()
    assert str(options["expiry"].iloc[0]) == "2026-11-24" and options["strike"].between(24_500, 25_500).all()
    assert (options["bid_price_1"] < options["ask_price_1"]).all()

    snapshots, _ = check(folder, "snapshots.parquet")
    known = snapshots[snapshots["iv"].notna()]
    assert len(known) > 100 and known["forward_source"].isin(["parity", "future", "spot_carry"]).all()
    assert known["iv"].between(0.01, 5).all() and known["delta"].between(-1, 1).all()
    unknown = snapshots[snapshots["iv"].isna() & snapshots["option_type"].notna()]
    assert unknown["greeks_reason"].notna().all()
    assert (snapshots["ts_publish"] >= snapshots["ts_recv"]).all()
    assert snapshots["tick_count"].sum() == len(ticks), "every tick is in a snapshot"

    instruments = pd.read_csv(folder / "instruments.csv")
    assert set(ticks["instrument_token"]) <= set(instruments["instrument_token"])
    print(f"pandas and polars agree: {len(ticks)} ticks, {len(snapshots)} snapshots")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
