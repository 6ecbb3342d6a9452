"""Figures are well-formed SVG that says what the data say, in the page's colours, without global state."""

import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from fsq_edge.evaluation import evaluate_predictions
from fsq_edge.evaluation.figures import (
    INK,
    confusion_matrix_figure,
    learning_curves_figure,
    per_class_figure,
    reliability_figure,
    stretches,
    timeline_figure,
)

CLASSES = ("sit & <wait>", "$trot$", "跳")  # what XML, mathematics and matplotlib's font trip over


def parsed(svg):
    return ElementTree.fromstring(svg)


def evaluation():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.4] * 3, 60)
    return evaluate_predictions(probabilities, rng.integers(0, 3, 60), np.repeat(list("abc"), 20), CLASSES)


def history():
    return [{"epoch": i + 1, "train_loss": 1 / (i + 1), "val_macro_f1": 0.5 + i / 10, "seconds": 1.0} for i in range(3)]


def decisions():
    labels = ["$trot$", "$trot$", None, "unknown", "跳"]
    return [{"t_start": i - 2.0, "t_end": float(i), "label": x, "raw_label": "跳"} for i, x in enumerate(labels)]


FIGURES = {
    "confusion": lambda: confusion_matrix_figure(evaluation()),
    "classes": lambda: per_class_figure(evaluation()),
    "reliability": lambda: reliability_figure(evaluation()),
    "history": lambda: learning_curves_figure(history()),
    "timeline": lambda: timeline_figure(decisions(), [(0.0, 3.0, "跳"), (3.0, 5.0, "$trot$")], CLASSES),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_one_svg_element_in_the_colour_of_the_page(draw):
    before = dict(mpl.rcParams)
    svg = draw()
    root = parsed(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox")
    assert root.get("height") is None
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "currentColor" in svg
    assert INK not in svg
    assert svg == draw()
    assert dict(mpl.rcParams) == before


def texts(svg):
    return ["".join(node.itertext()).strip() for node in parsed(svg).iter() if node.tag.endswith("text")]


def test_class_names_are_written_as_they_are():
    shown = texts(confusion_matrix_figure(evaluation()))
    assert all(shown.count(name) == 2 for name in CLASSES)
    assert "$trot$" in texts(FIGURES["timeline"]())


def test_the_confusion_matrix_shows_the_counts():
    shown = " ".join(texts(confusion_matrix_figure(evaluation()))).split()
    for count in evaluation().confusion[evaluation().confusion > 0]:
        assert str(count) in shown


def test_learning_curves_show_losses_and_scores_only():
    shown = texts(learning_curves_figure(history()))
    assert {"train loss", "val macro-F1"} <= set(shown)
    assert "seconds" not in shown


def test_a_history_without_scores_is_drawn():
    assert learning_curves_figure([{"train_loss": 1.0}]).startswith("<svg")


def test_a_decision_stands_from_when_it_is_known_until_the_next():
    assert stretches(decisions(), "label") == [(0.0, 2.0, "$trot$"), (3.0, 4.0, "unknown"), (4.0, 5.0, "跳")]
    assert stretches(decisions(), "raw_label") == [(0.0, 5.0, "跳")]


def test_a_decision_does_not_stand_over_a_gap():
    gapped = [{"t_end": t, "label": "a"} for t in (1.0, 2.0, 3.0, 60.0)]
    assert stretches(gapped, "label") == [(1.0, 4.5, "a"), (60.0, 61.0, "a")]


def test_a_time_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="seconds"):
        stretches([{"t_end": "soon", "label": "a"}], "label")


def test_an_empty_stream_is_drawn():
    assert timeline_figure([], [], CLASSES).startswith("<svg")


def test_pyplot_is_never_imported_and_the_package_stays_light():
    code = (
        "import sys, fsq_edge.evaluation, fsq_edge.report.html; "
        "print([m for m in ('sklearn', 'matplotlib', 'torch', 'jinja2') if m in sys.modules]); "
        "import fsq_edge.evaluation.figures; print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
