import pytest

from skscale import ScaledMLPClassifier
from skscale.scaling import hidden_widths


@pytest.mark.parametrize(
    ("depth", "width", "expected"),
    [
        (0, 7, ()),
        (1, 7, (7,)),
        (3, 7, (7, 7, 7)),
        (None, (5, 3), (5, 3)),
        (2, (5, 3), (5, 3)),
        (None, [4], (4,)),
        (None, (), ()),
    ],
)
def test_depth_and_width_resolve_to_one_width_a_hidden_layer(depth, width, expected):
    assert hidden_widths(depth, width) == expected


def test_a_depth_is_needed_with_a_single_width():
    with pytest.raises(ValueError, match=r"depth=None needs the width of each hidden layer"):
        hidden_widths(None, 8)


def test_depth_must_agree_with_a_tuple_of_widths():
    with pytest.raises(ValueError, match=r"describes 2 hidden layers, but depth=3"):
        hidden_widths(3, (8, 8))


def test_the_estimator_builds_the_widths_it_was_asked_for(digits):
    X, y = digits
    fitted = ScaledMLPClassifier(None, (9, 5), max_epochs=1, random_state=0).fit(X, y)
    assert [c.shape for c in fitted.coefs_] == [(64, 9), (9, 5), (5, 10)]
