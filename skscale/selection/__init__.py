"""Choosing a scale: what is wrong with one, costs beside scores, rules that choose by both.

- `compound`: the coefficients of compound scaling for given data.
- `costs`: a `scoring=` that measures what each candidate costs.
- `diagnosis`: whether a network has the right size, before any search.
- `grids`: a `param_grid` of depths and widths for given data.
- `rules`: a `refit=` that chooses by score and cost.
"""
