import sys

from keras_s5rl.cli.plot import main

sys.exit(main())
