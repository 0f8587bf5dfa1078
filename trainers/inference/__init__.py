"""Inference as a stage: what a finished model takes to answer, measured the MLPerf way and plainly.

load.py      what is asked of a model: scenarios, durations, bounds; plain data
samples.py   the questions: examples of a task's cells, encoded and in memory
answering.py the model that answers them, and what its answers are worth
plain.py     one sample after another, timed here; tokens, memory, energy
loadgen.py   MLPerf's own load generator asks, times and judges
measuring.py the stage: part by part, within its lease
"""
