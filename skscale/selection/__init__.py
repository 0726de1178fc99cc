"""Choosing a scale: costs beside scores, and rules that choose by both.

- `costs`: a `scoring=` that measures what each candidate costs.
- `rules`: a `refit=` that chooses by score and cost.
"""
