import pathlib
import sys

# The wheel does not hold the benchmarks.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.benchmark import main

sys.exit(main())
