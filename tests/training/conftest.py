from tests.small_runs import cache_folder, compile_cache  # noqa: F401
