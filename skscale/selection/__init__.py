"""Tools for choosing a scale by score and cost.

- `candidates`: the candidates of a search, and `compare`.
- `comparison`: the statistics of paired comparisons.
- `compound`: the coefficients of compound scaling for given data.
- `diagnosis`: whether a network has the right size, before any search.
- `gradual`: a search from small to large scales.
- `grids`: a `param_grid` of depths and widths for given data.
- `law`: the power law of the score in the number of parameters.
- `rules`: a `refit=` that chooses by score and cost.
"""
