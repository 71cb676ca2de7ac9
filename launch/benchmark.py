import pathlib
import sys

# The wheel does not hold the benchmarks.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.benchmark import main

if __name__ == "__main__":  # processes that it starts import this file, too
    sys.exit(main())
