"""The tool on whole programs that somebody else published: `python -m benchmarks.field`."""
