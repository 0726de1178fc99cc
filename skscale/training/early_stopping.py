"""When a member stops, and which of its weights it keeps."""


class EarlyStopping:
    """Judge the epochs of one member by their validation scores.

    Parameters
    ----------
    n_iter_no_change : int
        Epochs in a row without an improvement by `tol` after which to stop.
    tol : float
        Smallest improvement that counts.

    Attributes
    ----------
    best_score : float
        Highest score so far.
    best_epoch : int
        The first epoch that reached it; 0 before any.
    """

    def __init__(self, n_iter_no_change, tol):
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.best_score = -float("inf")
        self.best_epoch = 0
        self._n_stale = 0

    def update(self, epoch, score):
        """Take the score of an epoch.

        Returns
        -------
        is_best : bool
            Whether the weights of this epoch are the ones to keep.
        should_stop : bool
        """
        self._n_stale = 0 if score >= self.best_score + self.tol else self._n_stale + 1
        is_best = score > self.best_score
        if is_best:
            self.best_score, self.best_epoch = score, epoch
        return is_best, self._n_stale >= self.n_iter_no_change
