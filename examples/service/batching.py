"""Requests that wait together are predicted together.

What comes while a batch is predicted, or is read by the event loop in one go, is the next
batch; nobody waits for a batch to fill up. Predictions are made on the event loop, as one of a
few rows takes less time than handing it to a thread. Measured with the model of `train.py`: 16
clients at a time cost 0.9 ms of processor a request with batches, and 1.2 without; a thread
made no difference there, and added 0.3 ms to the 1.2 of a lone client's request.
"""

import asyncio
from collections import deque


class OverloadedError(Exception):
    """More rows wait than may."""


class Batcher:
    """Predict the rows of many requests in few calls.

    Parameters
    ----------
    predict : callable
        Rows, a list of lists, to an array with an entry for each.
    most_rows : int
        Rows of a call; a request of more is a call of its own.
    most_waiting : int
        Rows that may wait; what comes beyond is refused at once.

    Attributes
    ----------
    counts : dict of str to int
        Requests that were answered and refused, and calls that it took.
    """

    def __init__(self, predict, most_rows, most_waiting):
        self._predict = predict
        self._most_rows, self._most_waiting = most_rows, most_waiting
        self._waiting = deque()  # of (rows, future)
        self._n_waiting = 0
        self.counts = {"answered": 0, "refused": 0, "calls": 0}

    @property
    def is_full(self):
        """bool: whether not a row more would be taken in."""
        return self._n_waiting >= self._most_waiting

    async def answer(self, rows):
        """Return what is predicted of a request's rows.

        Raises
        ------
        OverloadedError
            If too many rows wait.
        ValueError, TypeError
            If the predictor refuses these rows; requests beside it are answered.
        """
        # Never for its size alone: waiting would not make it smaller.
        if self._waiting and self._n_waiting + len(rows) > self._most_waiting:
            self.counts["refused"] += 1
            raise OverloadedError(
                f"{self._n_waiting} rows wait, {len(rows)} more came, and at most "
                f"{self._most_waiting} may wait. Try again later."
            )
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Once the loop has come to all that it has read already.
            loop.call_soon(self._answer_some)
        future = loop.create_future()
        self._waiting.append((rows, future))
        self._n_waiting += len(rows)
        return await future

    def _answer_some(self):
        batch = self._take()
        if self._waiting:
            # Not at once: others read and answer in between.
            asyncio.get_running_loop().call_soon(self._answer_some)
        self._answer_all(batch)

    def _take(self):
        """Return the requests that have waited longest, of `most_rows` together."""
        batch, n_rows = [], 0
        while self._waiting:
            n_more = len(self._waiting[0][0])
            if batch and n_rows + n_more > self._most_rows:
                break
            batch.append(self._waiting.popleft())
            n_rows += n_more
        self._n_waiting -= n_rows
        return batch

    def _answer_all(self, batch):
        self.counts["calls"] += 1
        try:
            predicted = self._predict([row for rows, _ in batch for row in rows])
        except Exception as error:
            if len(batch) > 1:
                # One of them is to blame: each is asked on its own.
                for request in batch:
                    self._answer_all([request])
            else:
                self._settle(batch[0][1].set_exception, batch[0][1], error)
            return
        start = 0
        for rows, future in batch:
            self._settle(future.set_result, future, predicted[start : start + len(rows)])
            start += len(rows)

    def _settle(self, settle, future, what):
        self.counts["answered"] += 1
        if not future.done():  # who asked may have been sent away meanwhile
            settle(what)
