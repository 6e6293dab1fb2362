"""The readers of outside bytes under a fuzzer that follows their branches: `make fuzz`, by hand.

python -m tests.unit.stream.fuzz.atheris_decoders [options of libFuzzer, such as -max_total_time=60]
"""

from __future__ import annotations

import sys


def main() -> None:
    """Feed inputs to all readers, the first byte choosing which; any error but theirs ends it."""
    import atheris

    with atheris.instrument_imports(include=["stream", "models"]):
        from tests.unit.stream.fuzz.test_decoders import READERS

    def read_one(data: bytes) -> None:
        if data:
            READERS[data[0] % len(READERS)](data[1:])

    atheris.Setup(sys.argv, read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
