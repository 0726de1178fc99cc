"""What a fitted network costs.

- `complexity`: parameters and multiply-accumulates.
- `latency`: the time of a prediction.
"""
