"""Arrays that are kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Kept:
    """The most recent arrays, up to a number of bytes."""

    def __init__(self, most: int) -> None:
        self.most, self.size = most, 0
        self.found: OrderedDict[Any, Array] = OrderedDict()

    def get(self, key: Any) -> Array | None:
        array = self.found.get(key)
        if array is not None:
            self.found.move_to_end(key)
        return array

    def clear(self) -> None:
        self.found.clear()
        self.size = 0

    def put(self, key: Any, array: Array) -> Array:
        array.setflags(write=False)  # shared by everybody who asks
        before = self.found.pop(key, None)
        self.found[key] = array
        self.size += array.nbytes - (before.nbytes if before is not None else 0)
        while self.size > self.most and len(self.found) > 1:
            self.size -= self.found.popitem(last=False)[1].nbytes
        return array
