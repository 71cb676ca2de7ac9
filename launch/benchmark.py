import sys

from keras_s5rl.cli.benchmark import main

sys.exit(main())
