"""Figures and reports of a search.

- `displays`: scikit-learn displays of the score against scale and cost.
- `drawing`: the axes, labels and number formats of the displays.
- `report`: the analysis of a search and its recommendation.
- `report_page`: the report as text and HTML.
"""
