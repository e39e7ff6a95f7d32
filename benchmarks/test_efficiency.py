"""Every model makes the same clip again and again: five timed rounds after one warm-up, by pytest-benchmark."""


def test_efficiency(vdb, vdb_model, vdb_seed, vdb_profiler, benchmark):
    vdb_model.load()
    with vdb_profiler.watch() as readings:
        clip = benchmark.pedantic(vdb_model.generate, args=(vdb.prompts[0], vdb_seed), rounds=5, warmup_rounds=1)
    vdb.record_rounds(benchmark, frames=len(clip.frames))
    vdb.record(*readings.memory)
