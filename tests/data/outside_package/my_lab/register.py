"""Makes the package's environment and memory known by hand: for `--import=my_lab.register`."""

from keras_s5rl.envs import register_env
from my_lab import memories  # noqa: F401  registers itself

register_env("Parity", "my_lab.envs:Parity")
