import sys

from keras_s5rl.cli.train import main

sys.exit(main())
