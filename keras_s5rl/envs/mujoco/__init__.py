"""DeepMind Control through MuJoCo: on the host (extra `mujoco`) or on the device (extra `mjx`)."""
