import sys

from keras_s5rl.cli.sweep import main

sys.exit(main())
