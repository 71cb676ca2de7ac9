import sys

from keras_s5rl.cli.evaluate import main

sys.exit(main())
