import sys

from keras_s5rl.cli.probe import main

sys.exit(main())
