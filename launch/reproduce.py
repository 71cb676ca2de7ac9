import pathlib
import sys

# The wheel does not hold the experiments.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks.reproduce import main

sys.exit(main())
