"""Cases of the test of counting."""

CASES = {
    "once": lambda: lambda: sum(range(20_000)),
    "twice": lambda: lambda: sum(range(40_000)),
}
