"""Early stopping of a member, with its best epoch."""


class EarlyStopping:
    """Early stopping of one member by its validation scores.

    Parameters
    ----------
    n_iter_no_change : int
        Stop after this many consecutive epochs without an improvement by `tol`.
    tol : float
        Smallest score difference that counts as an improvement.

    Attributes
    ----------
    best_score : float
        Highest score so far.
    best_epoch : int
        First epoch with this score; 0 before any.
    """

    def __init__(self, n_iter_no_change, tol):
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.best_score = -float("inf")
        self.best_epoch = 0
        self._n_stale = 0

    def update(self, epoch, score):
        """Record the score of an epoch.

        Returns
        -------
        is_best : bool
            Whether to store the weights of this epoch as the best.
        should_stop : bool
        """
        self._n_stale = 0 if score >= self.best_score + self.tol else self._n_stale + 1
        is_best = score > self.best_score
        if is_best:
            self.best_score, self.best_epoch = score, epoch
        return is_best, self._n_stale >= self.n_iter_no_change
