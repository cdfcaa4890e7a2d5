"""Forms of rows: what they say, for rows of the table and rows of your own, and what is refused."""

import pytest

from mentee.errors import MenteeError
from mentee.methods import METHODS, Component, Method, Term, adjust, find, summands
from mentee.recipe import read

LATE = Method(
    "late",
    (Term("stages.last", Component("mse"), 7.0, Component("regressor"), exclusive_warmup=0.1),),
    task=0.3,
)


def test_the_contrast_form_is_the_representation_under_the_contrast():
    (term,) = find("cktf(fitnet)").terms
    (crd,) = find("crd").terms
    assert (term.layers, term.weight, term.loss) == ("stages.1", crd.weight, crd.loss)
    assert term.representation == Component("dense_to_teacher", {}, Component("regressor"))


def test_rows_whose_structure_is_in_their_agreement_come_to_the_contrast_of_the_features():
    crd = find("crd").terms
    assert find("cktf(rkd)").terms == find("cktf(pkt)").terms == find("cktf(crd)").terms == crd


def test_many_agreements_of_one_representation_are_one_contrast():
    assert len(find("mlkd").terms) == 15
    assert find("cktf(mlkd)").terms == find("cktf(kd)").terms


def test_a_row_of_your_own_has_its_forms_too():
    rows = METHODS | {"late": LATE}
    form = find("cktf(late)", rows)
    assert (form.name, form.task, form.terms[0].exclusive_warmup) == ("cktf(late)", 1.0, 0.0)
    assert str(form.terms[0].representation) == "dense_to_teacher of regressor"
    summed = find("late+cktf", rows)
    assert [t.weight for t in summed.terms] == [7.0, 10.0, 10.0]


def test_a_form_may_be_of_a_sum_and_a_sum_of_forms():
    form = find("cktf(kd+at)")
    assert [t.layers for t in form.terms] == ["logits", "stages"]
    row = find("standardized(kd) + cktf(at)")
    assert [str(t.representation) for t in row.terms] == [
        "standardized",
        "unit of attention",
    ]
    assert row.terms[0].weight == 1.0  # that of kd in a sum
    assert summands("cktf(kd+at)+crd") == ["cktf(kd+at)", "crd"]


def test_a_standardized_row_keeps_its_weights():
    form = find("standardized(kd)")
    assert (form.task, [t.weight for t in form.terms]) == (0.1, [0.9])
    assert form.terms[0].representation == Component("standardized")
    compressed = find("standardized(ec)").terms[0].representation
    assert str(compressed) == "standardized of compress(width=64, gain=0.01, learn=first)"


def test_equal_terms_of_a_sum_are_one_of_both_weights():
    weights = {t.layers: t.weight for t in find("crd+cktf").terms}
    assert weights == {"embedding": 20.0, "stages": 10.0}


def test_numbers_of_a_form_change_by_the_words_of_its_chain():
    numbers = {"dense_to_teacher.grid": 4, "regressor.resize": False, "info_nce.temperature": 0.2}
    (term,) = adjust(find("cktf(fitnet)"), numbers, {"info_nce": 0.3}).terms
    assert str(term.representation) == "dense_to_teacher(grid=4) of regressor(resize=False)"
    assert (term.weight, term.loss.params["temperature"]) == (0.3, 0.2)


def test_a_recipe_may_name_a_form_and_spell_a_chain():
    recipe = {"data": {"source": "embedded:digits"}, "student": "resnet8-cifar"}
    assert read(recipe | {"method": "cktf(fitnet)"}).method.method(METHODS).terms[0].weight == 10.0
    chain = {"name": "project", "of": {"name": "attention", "params": {"power": 4}}}
    term = {"layers": "stem", "loss": "mse", "weight": 1.0, "representation": chain}
    row = read(recipe | {"method": {"name": "mine", "terms": [term]}}).method.method(METHODS)
    assert str(row.terms[0].representation) == "project of attention(power=4)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cktf(none)", "has no term that could be contrasted"),
        (
            "cktf(kd+semckd)",
            r"semckd weighs .* of both .*; take kd\+semckd\+cktf, their sum",
        ),
        ("standardized(simkd-pooled)", "the teacher's classifier reads the features, and not"),
        ("cktf(fitnot)", "there is no method 'fitnot'; did you mean 'fitnet'"),
        (
            "ckft(fitnet)",
            r"a form of a method, cktf or standardized, such as cktf\(fitnet\)",
        ),
        ("cktf(fitnet", "expected a form of a method"),
        ("standardized(none)", "has no term"),
        ("standardized(fitnet)", "mse of regressor at stages.1 does not compare plain vectors"),
        ("standardized(sp)", "sp of as_is at stages.last does not compare plain vectors"),
        ("standardized(crd)", "info_nce of dense_to_teacher .*does not compare plain vectors"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(name, text):
    with pytest.raises(MenteeError, match=text):
        find(name)
