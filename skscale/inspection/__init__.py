"""What fitted networks cost, and what the cost buys.

- `complexity`: parameters and multiply-accumulates.
- `latency`: the time of a prediction.
- `law`: how the score grows with the size, and what the next doubling would bring.
- `displays`: all of it as pictures.
- `report`, `report_page`: all of it in words, from the analysis to the recommendation.
"""
