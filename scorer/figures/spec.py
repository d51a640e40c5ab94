"""What is declared of a figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scorer.tasks import Statistic


@dataclass(frozen=True)
class FigureSpec:
    """A figure of quality.

    title     its name in tables
    text      its name in running text
    meaning   what it is, in a sentence's words
    better    +1 where higher is better, -1 where lower is, 0 where nearer to zero is
    needs     the sums that its formula takes
    formula   those sums -> the figure, NaN where it is not defined
    low, high its range
    """

    name: str
    title: str
    text: str
    meaning: str
    better: int
    needs: Statistic
    formula: Callable[[Any], NDArray[np.float64]]
    low: float = -math.inf
    high: float = math.inf
