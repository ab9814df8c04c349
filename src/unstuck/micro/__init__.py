"""Micro-experiments: questions to one or two recorded steps that no rule has to ask for first.

Each is one module with a page, like a rule (`unstuck.micro.catalogue`). What it shows is read by rules, and what no
rule names is told as a plain statement with its line.
"""
