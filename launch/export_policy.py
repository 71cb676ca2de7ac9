import sys

from keras_s5rl.cli.export_policy import main

sys.exit(main())
