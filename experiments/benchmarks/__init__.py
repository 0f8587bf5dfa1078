"""Benchmarks: commands that measure, and are never timed tests."""
