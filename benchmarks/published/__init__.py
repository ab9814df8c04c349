"""Subjects of published benchmarks, told again in PyTorch, under the tool."""
