"""What one does without this tool: load the bundle in Keras and call `predict` on the strings.

python keras_predict.py model.keras reviews.parquet text out.npy
"""

from __future__ import annotations

import sys

import keras
import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf


def main() -> None:
    model_path, data, column, out = sys.argv[1:]
    model = keras.saving.load_model(model_path, compile=False)
    texts = pq.read_table(data, columns=[column])[column].to_pylist()
    np.save(out, model.predict(tf.constant(texts), batch_size=512, verbose=0))


if __name__ == "__main__":
    main()
