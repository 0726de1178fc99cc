"""Costs of fitted estimators.

- `complexity`: numbers of parameters and multiply-accumulates.
- `latency`: time of a prediction.
- `measures`: the costs, one class each.
- `scoring`: a `scoring=` that measures costs beside the score.
"""
