"""Smaller networks: pruned, or taught by larger ones.

- `importance`: what each unit or weight matters.
- `removal`: which go, and the network without them, in NumPy.
- `channels`: importance and removal of the channels of convolutional networks.
- `pruning`: removal and training in turns; `fitted`: of what is fitted already.
- `distillation`: what a teacher says, asked once for each set of rows.
"""
