"""Every model makes the same clip five times, timed by pytest-benchmark; what loads and warms it up is timed apart."""


def test_efficiency(vdb, vdb_model, vdb_seed, benchmark):
    vdb.time(benchmark, vdb_model, vdb.prompts[0], vdb_seed)
