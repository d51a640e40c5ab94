"""What the figures' formulas take: sums over a sample and over its bootstrap replicates.

sample.py      the arrays that every figure is computed from
resample.py    the bootstrap
sums.py ranking.py label_sets.py
               the sums, by kind of figure
measure.py     every figure of a sample with its replicates
blocks.py      passes over long columns, a block of rows at a time
"""
