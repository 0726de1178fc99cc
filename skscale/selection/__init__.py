"""Choosing a scale: costs beside scores, and rules that choose by both.

- `costs`: a `scoring=` that measures what each candidate costs.
- `grids`: a `param_grid` of depths and widths for given data.
- `rules`: a `refit=` that chooses by score and cost.
"""
