import sys

from keras_s5rl.cli.report import main

sys.exit(main())
