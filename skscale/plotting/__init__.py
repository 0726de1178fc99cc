"""Figures and reports of a search.

- `displays`: scikit-learn displays of score against scale and cost; `drawing`: their axes,
  labels and number formats.
- `report`: the analysis of a search and its recommendation; `report_page`: its text and HTML.
"""
