"""What scikit-learn's searches leave out, added from within.

With a callable `refit` a search (1.9) has no `best_score_`: it cannot know which score the
callable went by. A rule knows. The search calls it from a static method and passes no
reference to itself, so it is found in the frames of the call.
"""

import sys

from sklearn.model_selection._search import BaseSearchCV


def publish_best_score(rule, cv_results, index, score):
    """Set `best_score_` of the search that asks this rule, if it is a search that asks."""
    frame = sys._getframe(2)
    for _ in range(3):
        if frame is None:
            return
        search = frame.f_locals.get("self")
        if isinstance(search, BaseSearchCV) and search.refit is rule:
            search.best_score_ = cv_results[f"mean_test_{score}"][index]
            return
        frame = frame.f_back
