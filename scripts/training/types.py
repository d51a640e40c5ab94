"""Array types that the training modules share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.signedinteger[Any]]
Weights = dict[str, Floats]
AnyArray = NDArray[Any]
