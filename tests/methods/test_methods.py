"""The table: published numbers, sums of rows, changed numbers, and what is refused."""

import dataclasses

import pytest

from mentee.errors import MenteeError
from mentee.methods import METHODS, Component, Method, Term, adjust, find

# The published numbers


def by_place(method):
    return {term.layers: term for term in method.terms}


def test_kd_weighs_one_tenth_task_and_nine_tenths_soft_targets_at_temperature_four():
    row = find("kd")
    (term,) = row.terms
    assert (row.task, term.weight, term.layers) == (0.1, 0.9, "logits")
    assert term.loss == Component("kl", {"temperature": 4.0})
    assert term.representation == Component("as_is")


@pytest.mark.parametrize("name", ["crd+kd", "cktf+kd", "kd+cktf", "kd+none"])
def test_in_a_sum_soft_targets_and_task_weigh_one(name):
    row = find(name)
    assert row.task == 1.0
    assert by_place(row)["logits"].weight == 1.0


def check_contrast(term, *, draw, batch_axis):
    assert term.loss == Component("contrast", {"temperature": 0.1})
    assert term.representation == Component("project", {"width": 128, "batch_axis": batch_axis})
    numbers = {"negatives": 16384, "draw": draw, "momentum": 0.5, "class_aware": True}
    assert term.memory == Component("bank", numbers)


def test_crd_is_the_contrast_of_the_embedding():
    row = find("crd-bank")
    (term,) = row.terms
    assert (row.task, term.layers, term.weight) == (1.0, "embedding", 0.8)
    check_contrast(term, draw="shared", batch_axis=False)


@pytest.mark.parametrize("name", ["cktf-bank", "cktf-exact"])
def test_cktf_is_the_contrast_at_stem_stages_and_embedding(name):
    row, exact = find(name), name == "cktf-exact"
    weights = [(term.layers, term.weight) for term in row.terms]
    assert weights == [("stem", 0.1), ("stages", 0.1), ("embedding", 0.8)]
    assert row.task == 1.0
    for term in row.terms:
        check_contrast(
            term,
            draw="exact" if exact else "shared",
            batch_axis=exact and term.layers == "stages",
        )


def test_every_row_says_what_it_does_and_where_it_is_from():
    for name, row in METHODS.items():
        assert row.name == name
        assert row.about.endswith(".")
        named = any(word in row.source for word in ("arXiv:", "CVPR", "NeurIPS", "LightlyTrain"))
        assert named or name == "none" or row.about.startswith("Control of ec")


def test_one_place_stands_for_both_networks_unless_two_are_named():
    assert Term("stem", Component("kl"), 1.0).layer_pair == ("stem", "stem")
    assert Term(("layer2", "layer3"), Component("kl"), 1.0).layer_pair == ("layer2", "layer3")


# find


def test_a_sum_adds_up_terms_and_papers():
    row = find("kd + crd")
    assert [term.layers for term in row.terms] == ["logits", "embedding"]
    assert row.source == f"{METHODS['kd'].source}; {METHODS['crd'].source}"
    assert "(Hinton et al. 2015, arXiv:1503.02531); Contrastive Rep" in row.source
    assert row.about == "kd + crd"


def test_the_row_cktf_kd_is_the_sum_of_its_parts():
    assert find("cktf+kd").terms == find("cktf").terms + METHODS["kd"].summed_terms
    assert find("kd + cktf") is find("cktf+kd")


def test_a_row_of_your_own_is_found_beside_the_table():
    own = Method("mine", (Term("logits", Component("kl"), 0.5),))
    rows = METHODS | {"mine": own}
    assert find("mine", rows) is own
    assert [term.weight for term in find("crd+mine", rows).terms] == [10.0, 0.5]
    with pytest.raises(MenteeError, match="there is no method 'mine'"):
        find("mine")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cktv", r"there is no method 'cktv'; did you mean 'cktf'"),
        ("crd+kdd", r"there is no method 'kdd'; did you mean 'kd'"),
        ("", r"there is no method ''; known: .*cktf"),
        ("crd+", r"there is no method ''"),
        ("kd+kd", r"'kd\+kd' names a method twice; give the method another weight instead"),
    ],
)
def test_an_unknown_name_is_refused(name, text):
    with pytest.raises(MenteeError, match=text):
        find(name)


# adjust


def numbers_of(method, slot, name):
    words = {term.layer_pair[0]: getattr(term, slot) for term in method.terms}
    return {place: word.params.get(name) for place, word in words.items() if word}


def test_a_number_changes_wherever_its_word_is_used():
    row = adjust(find("cktf-bank+kd"), {"contrast.temperature": 0.07, "project.width": 64}, {})
    hot = {"stem": 0.07, "stages": 0.07, "embedding": 0.07, "logits": 4.0}
    assert numbers_of(row, "loss", "temperature") == hot
    wide = {"stem": 64, "stages": 64, "embedding": 64, "logits": None}
    assert numbers_of(row, "representation", "width") == wide


@pytest.mark.parametrize("turned", [False, True])
def test_a_number_of_one_place_has_the_last_word(turned):
    numbers = {"project.width": 64, "stages.project.width": 32, "stem.project.grid": 1}
    if turned:
        numbers = dict(reversed(numbers.items()))
    row = adjust(find("cktf-bank"), numbers, {})
    assert numbers_of(row, "representation", "width") == {"stem": 64, "stages": 32, "embedding": 64}
    assert numbers_of(row, "representation", "grid") == {
        "stem": 1,
        "stages": None,
        "embedding": None,
    }


def test_a_place_may_have_dots():
    row = Method("own", (Term(("layer2.0", "layer3"), Component("kl"), 1.0),))
    changed = adjust(row, {"layer2.0.kl.temperature": 2.0}, {"layer2.0": 0.3})
    assert changed.terms[0].loss == Component("kl", {"temperature": 2.0})
    assert changed.terms[0].weight == 0.3


def test_weights_by_agreement_and_by_place_which_wins():
    row = adjust(find("cktf-bank+kd"), {}, {"task": 0.5, "contrast": 0.4, "stem": 0.0})
    weights = {term.layers: term.weight for term in row.terms}
    assert weights == {"stem": 0.0, "stages": 0.4, "embedding": 0.4, "logits": 1.0}
    assert row.task == 0.5


def test_memory_stands_for_whichever_memory_there_is():
    row = adjust(find("cktf-bank"), {"memory.negatives": 256, "stem.memory.momentum": 0.9}, {})
    assert set(numbers_of(row, "memory", "negatives").values()) == {256}
    assert numbers_of(row, "memory", "momentum") == {"stem": 0.9, "stages": 0.5, "embedding": 0.5}


@pytest.mark.parametrize("kind", ["queue", "batch"])
def test_another_memory_keeps_only_the_numbers_that_every_kind_has(kind):
    row = adjust(find("crd-bank"), {"memory.kind": kind, "memory.class_aware": False}, {})
    assert row.terms[0].memory == Component(kind, {"class_aware": False})
    same = adjust(find("crd-bank"), {"memory.kind": "bank"}, {})
    assert same == find("crd-bank")


def test_a_representation_is_exchanged_and_takes_no_numbers_along():
    row = adjust(find("dkd"), {"representation.kind": "standardized", "dkd.temperature": 2.0}, {})
    assert row.terms[0].representation == Component("standardized")
    assert row.terms[0].loss.params["temperature"] == 2.0
    one = adjust(find("cktf-bank"), {"stem.representation.kind": "pooled"}, {})
    assert [term.representation.name for term in one.terms] == ["pooled", "project", "project"]


WEIGHTS = {
    "fitnet": 100, "at": 1000, "sp": 3000, "cc": 0.02, "vid": 1, "rkd": 1, "pkt": 30000,
    "ab": 1, "ft": 200, "fsp": 50, "nst": 50, "crd-bank": 0.8, "ickd": 2.5, "semckd": 400,
    "simkd": 1, "lskd": 9, "dkd": 1, "nkd": 1, "dist": 2, "ttm": 45, "wttm": 4,
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name in METHODS])
def test_a_row_weighs_as_published(name):
    row = find(name)
    assert {term.weight for term in row.terms} == {WEIGHTS[name]}
    assert row.task == {"lskd": 0.1, "simkd": 0.0}.get(name, 1)


def test_mlkd_has_three_levels_at_five_temperatures():
    terms = find("mlkd").terms
    result = {(term.loss.name, term.loss.params["temperature"]) for term in terms}
    levels = ("kl", "batch_level", "class_level")
    assert result == {(level, float(t)) for level in levels for t in range(2, 7)}
    assert len(terms) == len(result)


def test_a_sum_ends_as_its_one_row_with_the_teachers_classifier_does():
    row = find("kd+simkd+none")
    assert (row.reuse, row.task) == ("stages.last", 1.0)
    assert adjust(row, {}, {"mse": 2.0}).reuse == "stages.last"
    assert find("kd+crd").reuse == ""


def test_the_table_itself_is_never_changed():
    before = dataclasses.replace(find("cktf-bank"))
    copies = [dict(term.representation.params) for term in before.terms]
    adjust(find("cktf-bank"), {"project.width": 2}, {"stem": 9.0})
    assert [dict(term.representation.params) for term in find("cktf-bank").terms] == copies
    assert find("cktf-bank") == before


@pytest.mark.parametrize(
    ("numbers", "weights", "unmet"),
    [
        ({"kl.temperature": 2.0}, {}, "'kl.temperature'"),
        ({"temperature": 2.0}, {}, "'temperature'"),
        ({"stages.kl.temperature": 2.0}, {}, "'stages.kl.temperature'"),
        ({"a.b": 1, "c.d": 1}, {}, "'a.b', 'c.d'"),
    ],
)
def test_a_key_that_meets_nothing_is_refused_with_what_there_is(numbers, weights, unmet):
    text = (
        rf"method 'cktf-bank' has nothing that {unmet} could change; its layers and components are "
        "contrast, embedding, memory, project, stages, stem$"
    )
    with pytest.raises(MenteeError, match=text):
        adjust(find("cktf-bank"), numbers, weights)


@pytest.mark.parametrize("key", ["logits", "project", "memory"])
def test_a_weight_of_no_place_and_no_agreement_is_refused_with_those_there_are(key):
    text = (
        rf"method 'cktf-bank' has no weight '{key}'; weights go by layer or by loss: contrast, "
        "embedding, stages, stem, task$"
    )
    with pytest.raises(MenteeError, match=text):
        adjust(find("cktf-bank"), {}, {key: 1.0})


def test_what_numbers_and_weights_do_not_meet_is_said_at_once():
    text = (
        r"nothing that 'a\.b' could change; its layers .* stem\. It has no weight 'c'; weights go"
    )
    with pytest.raises(MenteeError, match=text):
        adjust(find("cktf-bank"), {"a.b": 1}, {"c": 1.0})


def test_embedding_compression_as_published():
    method = find("ec-published")
    (term,) = method.terms
    assert (method.task, term.weight, term.representation.params) == (0.4, 0.6, {"width": 64})
    assert find("ec-published+none").terms[0].weight == pytest.approx(1.5)


def test_embedding_compression_has_soft_labels_of_a_compressor_that_is_trained_first():
    method, in_sum = find("ec"), find("ec+none")
    follow, soft = method.terms
    assert follow.representation.params == {"width": 64, "gain": 0.01, "learn": "first"}
    assert (soft.loss.name, soft.representation.name) == ("soft_labels", "compressed_logits")
    assert (method.task, follow.weight, soft.weight) == (0.6, 0.1, 0.3)
    assert in_sum.task == 1
    for alone, term in zip(method.terms, in_sum.terms, strict=True):
        assert term.weight == pytest.approx(alone.weight / method.task, abs=1e-3)


@pytest.mark.parametrize(("name", "agree"), [("ec-kd", "kl"), ("ec-binary-kd", "binary_kd")])
def test_soft_labels_of_the_compressor_weigh_three_tenths_of_lambda(name, agree):
    row = find(name)
    assert row.task == 0.4
    follow, soft = row.terms
    assert (follow.layers, follow.weight, follow.representation.name) == (
        "embedding",
        0.42,
        "compress",
    )
    assert (soft.layer_pair, soft.weight) == (("logits", "embedding"), 0.18)
    assert (soft.loss.name, soft.representation) == (agree, Component("compressed_logits"))
    assert [term.weight for term in find(f"{name}+none").terms] == [1.05, 0.45]


def test_a_row_without_terms_takes_a_weight_of_the_task_only():
    assert adjust(find("none"), {}, {"task": 2.0}).task == 2.0
    with pytest.raises(MenteeError, match="its layers and components are none"):
        adjust(find("none"), {"memory.kind": "queue"}, {})
