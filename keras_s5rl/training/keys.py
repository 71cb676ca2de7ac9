"""What is folded into the key of a run's seed, so that no two uses of it share a draw."""

TRAINING, EVALUATION, RECORDING, IN_CONTEXT, WHILE_TRAINING, PROBING = range(6)
