import sys

from keras_s5rl.cli.compare import main

sys.exit(main())
