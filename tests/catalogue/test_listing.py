"""The methods and the layers in words."""

import pytest

from mentee.catalogue import list_methods, show_layers, show_method
from mentee.errors import MenteeError
from mentee.methods import METHODS, Component, Method, Term

KL = "ℓ_i = T² Σ_c p_ic (log p_ic − log q_ic), p = softmax(z^t / T), q = softmax(z^s / T)"


def test_every_row_is_listed_on_a_line_of_its_own_below_what_it_needs():
    blocks = [block.splitlines() for block in list_methods().split("\n\n")]
    listed = {line.split()[0]: (head, line) for head, *lines in blocks[:-1] for line in lines}
    assert set(listed) == set(METHODS)
    assert all(row.about in listed[name][1] for name, row in METHODS.items())
    assert len({line.index(METHODS[name].about) for name, (_, line) in listed.items()}) == 1
    assert listed["none"][0] == "no teacher:"
    assert listed["kd"][0] == "the same classes in the same order, one class an example:"
    assert listed["pkt"][0] == listed["east"][0] == "an embedding of any task:"
    heads = [head for head, *_ in blocks[:-1]]
    assert len(set(heads)) == len(heads)
    assert "crd+kd" in blocks[-1][0]


def test_a_row_of_your_own_is_listed_too():
    word = Component("project", {"width": 8}, Component("attention"))
    terms = (Term("stages", Component("contrast"), 1.0, word, Component("queue")),)
    rows = {"mine": Method("mine", about="My own."), "other": Method("other", terms)}
    assert list_methods(rows).splitlines()[:5] == [
        "no teacher:",
        "  mine   My own.",
        "",
        "stages, a memory:",
        "  other",
    ]


def test_a_row_is_shown_as_its_sentence():
    lines = show_method("cktf-bank+kd").splitlines()
    assert lines[0] == f"cktf-bank+kd: {METHODS['cktf-bank+kd'].about}"
    assert lines[1].endswith("(Zhao et al. 2023, arXiv:2303.07599)")
    assert lines[2] == "L =  1 · task"
    negatives = "negatives from bank(negatives=16384, draw=shared, momentum=0.5, class_aware=True)"
    assert lines[3].strip() == (
        "+ 0.1 · contrast(temperature=0.1) of project(width=128, batch_axis=False) at stem, "
        f"{negatives}"
    )
    assert lines[6].strip() == "+ 1 · kl(temperature=4.0) of as_is at logits"
    assert lines[7].strip() == "(without labels 0.04, 0.04, 1, 1)"
    assert [line.split()[0] for line in lines[8:12]] == ["contrast", "project", "bank", "kl"]
    assert lines[11].endswith(KL)
    assert lines[12].startswith("needs: the same classes in the same order, an embedding, stages")
    assert lines[13] == f"note: {METHODS['cktf-bank+kd'].note}"
    assert len(lines) == 14


def test_what_it_weighs_in_a_sum_is_said_where_that_differs():
    said = "     (in a sum 1 and the task's at 1; without labels 1)"
    assert said in show_method("kd").splitlines()
    said = "     (in a sum 0.8, 0.8, 0.8; without labels 0.04, 0.04, 1)"
    assert said in show_method("cktf-bank").splitlines()
    assert "     (in a sum the task's at 1)" in show_method("mlkd").splitlines()
    assert "in a sum" not in show_method("crd-bank")
    assert "without labels" not in show_method("sp")


def test_terms_that_differ_in_one_number_are_one():
    text = show_method("mlkd")
    assert text.count("temperature=") == 3
    assert "   + 0.9 · kl(temperature=2.0, 3.0, 4.0, 5.0, 6.0) of as_is at logits" in text


def test_a_row_whose_student_keeps_the_teachers_classifier_says_so():
    said = (
        "The student is its backbone, read at stages.last, a projector, and the teacher's "
        "classifier."
    )
    assert said in show_method("simkd").splitlines()
    assert "classifier" not in show_method("kd+crd")


def test_terms_with_other_numbers_stay_apart():
    words = [
        Component("kl", {"temperature": 2.0}),
        Component("kl"),
        Component("dist", {"beta": 2.0, "gamma": 1.0}),
    ]
    row = Method("mine", tuple(Term("logits", word, 1.0) for word in [*words, words[2]]))
    lines = show_method("mine", {"mine": row}).splitlines()
    assert [line.strip() for line in lines[2:6]] == [
        "+ 1 · kl(temperature=2.0) of as_is at logits",
        "+ 1 · kl of as_is at logits",
        *["+ 1 · dist(beta=2.0, gamma=1.0) of as_is at logits"] * 2,
    ]


def test_a_word_that_is_not_there_is_said():
    text = show_method("mine", {"mine": Method("mine", (Term("logits", Component("kll"), 1.0),))})
    assert "needs: something that no synthetic pair has: there is no " in text
    assert "'kll'; did you mean 'kl'" in text


def test_a_pair_of_places_names_both():
    row = Method("mine", (Term(("layer2", "layer3"), Component("mse"), 0.25),), about="Mine.")
    assert show_method("mine", {"mine": row}).splitlines() == [
        "mine: Mine.",
        "L =  1 · task",
        "   + 0.25 · mse of as_is at layer2 (teacher: layer3)",
        "mse  ℓ_i = 1/d Σ_c (x_ic − y_ic)²",
        "needs: layer3, equal widths, equal resolutions",
    ]


def test_a_form_and_a_sum_are_shown_as_any_row():
    text = show_method("cktf(at)+standardized(kd)")
    assert "of unit of attention at stages" in text
    assert "attention a = unit (1/c Σ_c |f_c|^p)" in " ".join(text.split())


def test_a_misspelled_row_is_refused():
    with pytest.raises(MenteeError, match="there is no method 'ckft'; did you mean 'cktf'"):
        show_method("ckft")


def test_the_short_names_of_a_network_are_shown_with_shapes():
    lines = show_layers("resnet8-cifar", size=16, channels=1, classes=7).splitlines()
    assert lines[0].startswith("resnet8-cifar: ")
    assert lines[0].endswith(" parameters, 1 × 16 × 16")
    shapes = {line.split("  ")[0]: line for line in lines[1:]}
    assert list(shapes) == ["logits", "embedding", "stages.0", "stages.1", "stages.2", "stem"]
    for name, shape in {"logits": "7", "stages.1": "32 × 8 × 8", "stem": "16 × 16 × 16"}.items():
        assert f"  {shape}  " in shapes[name]
    assert shapes["logits"].endswith("output of the network")
    assert "input of " in shapes["embedding"]


def test_all_modules_are_shown_when_asked_for():
    few = show_layers("resnet8-cifar", size=16).splitlines()
    every = show_layers("resnet8-cifar", size=16, every=True).splitlines()
    assert set(few[0].split()) == set(every[0].split())
    assert len(every) > 2 * len(few)
    assert any("output of " in line and ".conv" in line for line in every)
