"""The two ratios that the README quotes: `python -m benchmarks`."""

from benchmarks import lanes, overhead

if __name__ == "__main__":
    overhead.main()
    print()
    lanes.main()
