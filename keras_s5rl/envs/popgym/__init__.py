"""POPGym's environments, step for step equal to popgym 1.0.7.

Reference: Morad et al., 2023, "POPGym: Benchmarking Partially Observable Reinforcement Learning".
"""
