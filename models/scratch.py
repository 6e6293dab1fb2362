"""Room that compiled code works in: an entry for every song or session, and all of it 0."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


class Scratch(threading.local, Generic[Number]):
    """An array of zeros of each thread's own.

    Whoever writes to `array` leaves zeros behind, entry by entry. Made anew at each call it
    would cost as much as the catalogue is large, however few songs a listener is concerned with.
    """

    def __init__(self, size: int, dtype: type[Number]) -> None:
        self.array: NDArray[Number] = np.zeros(size, dtype)

    def room(self, size: int) -> NDArray[Number]:
        """Give `array`, made longer where it has fewer than `size` entries."""
        if len(self.array) < size:
            self.array = np.zeros(size, self.array.dtype)
        return self.array
