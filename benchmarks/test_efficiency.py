"""Every model makes the same clip five times, timed by pytest-benchmark; loading has warmed it up already."""


def test_efficiency(vdb, vdb_model, vdb_seed, vdb_profiler, benchmark):
    vdb_model.load()
    with vdb_profiler.watch() as readings:
        clip = benchmark.pedantic(vdb_model.generate, args=(vdb.prompts[0], vdb_seed), rounds=vdb.timed_rounds(5))
    vdb.record_rounds(benchmark, frames=len(clip.frames))
    vdb.record(*readings.memory)
