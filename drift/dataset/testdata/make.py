"""Writes the files of this folder with numpy and pyarrow, the same rows in each.

Run with the environment of deploy/oracles.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
X = np.array([[1, 2.5, -3], [4, np.nan, 6], [np.inf, 8, 0.125], [10, 11, 12]], np.float32)
COUNT = np.array([1, -2, 3, 40_000_000_000])
CITY = np.array(["Wien", "Köln", "", "Salzburg"])
YES = np.array([True, False, True, True])
LABEL = np.array([0, 1, 2, 1])

np.savez(HERE / "rows.npz", x=X, count=COUNT, city=CITY, yes=YES, label=LABEL)
np.savez_compressed(
    HERE / "converted.npz",
    x=X.astype(np.float64),
    count=COUNT.astype(np.float64)[:, None],
    city=CITY,
    yes=YES.astype(np.int8),
    species=LABEL.astype(np.uint8),
)
np.save(HERE / "x.npy", X)
np.save(HERE / "half.npy", X.astype(np.float16))
np.save(HERE / "fortran.npy", np.asfortranarray(X))
np.save(HERE / "big.npy", X.astype(">f4"))
np.save(HERE / "objects.npy", np.array([[1, "a"], [2, None]], object))

columns = {f"x[{i}]": X[:, i] for i in range(3)}
rest = {"count": COUNT, "city": CITY, "yes": YES, "label": LABEL, "other": CITY}
pq.write_table(pa.table(columns | rest), HERE / "rows.parquet", row_group_size=3)
pq.write_table(
    pa.table({"x": pa.array(X.tolist(), pa.list_(pa.float32()))} | rest),
    HERE / "lists.parquet",
    compression="zstd",
)
