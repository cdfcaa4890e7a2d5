"""Methods that compare features: relations of examples, maps and tokens at the stages."""

from __future__ import annotations

from mentee.methods.logits import RISE
from mentee.methods.method import Component, Method, Term


def _rkd(name: str, about: str, *, distance: float = 25.0, angle: float = 50.0) -> Method:
    loss = Component("rkd", {"distance": distance, "angle": angle})
    return Method(
        name,
        (Term("embedding", loss, 1.0),),
        about=about,
        source="Relational Knowledge Distillation (Park et al. 2019, arXiv:1904.05068)",
    )


# Published with a trained teacher head too, which can learn to be constant: here random.
_CC = Component("random", {"width": 128, "student_head": "linear"})

FIRST = 30 / 270
"""Share of the published steps: 30 epochs of the terms alone before 240 of the task."""

RELATION_METHODS = (
    Method(
        "sp",
        (Term("stages.last", Component("sp"), 3000.0),),
        about="Which examples of the batch are alike, at the last stage: any two networks.",
        source="Similarity-Preserving Knowledge Distillation "
        "(Tung and Mori 2019, arXiv:1907.09682)",
    ),
    _rkd("rkd", "Distances and angles among the embeddings of the batch: any two networks."),
    _rkd("rkd-distance", "The distances of rkd alone.", angle=0.0),
    _rkd("rkd-angle", "The angles of rkd alone.", distance=0.0),
    Method(
        "pkt",
        (Term("embedding", Component("pkt"), 30000.0),),
        about="Neighbors in the batch as probabilities: any two networks; strong for its cost.",
        source="Probabilistic Knowledge Transfer (Passalis and Tefas 2018, arXiv:1803.10837)",
    ),
    Method(
        "cc",
        (Term("embedding", Component("cc"), 0.02, _CC),),
        about="Gaps of neighbors in the batch, as RepDistiller has it: for its tables; weak.",
        source="Correlation Congruence for Knowledge Distillation "
        "(Peng et al. 2019, arXiv:1904.01802)",
        note="as in RepDistiller, but for the teacher's head: a trained one could learn to be "
        "constant",
    ),
    Method(
        "rrd",
        (
            Term(
                "embedding",
                Component("similarity_kl", {"temperature": 0.02, "teacher_temperature": 0.1}),
                1.0,
                Component("to_teacher", {"scale": "none"}),
                Component("queue", {"negatives": 16384, "class_aware": False}),
            ),
        ),
        about="Similarities to a queue of the teacher's embeddings, as distributions of which the "
        "student's is the sharper; with memory.kind: record to those of all training examples.",
        source="Relational Representation Distillation "
        "(Giakoumoglou and Stathaki 2024, arXiv:2407.12073)",
        note="no head over the teacher",
    ),
    Method(
        "dcd",
        (
            Term(
                "embedding",
                Component("dcd", {"temperature": 1.0, "consistency": 0.5}),
                1.0,
                Component(
                    "logit_scale",
                    {"temperature": 0.368, "largest": 10.0},
                    Component("project", {"width": 128}),
                ),
            ),
        ),
        about="Contrast within the batch whose two directions agree, at a learned temperature: no "
        "memory.",
        source="Discriminative and Consistent Distillation "
        "(Giakoumoglou and Stathaki 2024, arXiv:2407.11802)",
    ),
    Method(
        "itrd",
        (
            Term(
                "embedding",
                Component("itrd_correlation", {"alpha": 1.01}),
                2.0,
                Component("to_teacher", {"scale": "none"}),
            ),
            Term("embedding", Component("itrd_mutual"), 1.0),
        ),
        about="Entries that vary as the teacher's, and which examples are alike: no memory.",
        source="Information Theoretic Representation Distillation "
        "(Miles et al. 2022, arXiv:2112.00459)",
        note="its mutual information without the head, as a difference of logarithms",
    ),
    Method(
        "cka",
        (Term("embedding", Component("cka"), 1.0),),
        about="Centered kernel alignment of the embeddings: any two networks.",
        source="Centered Kernel Alignment (Kornblith et al. 2019, arXiv:1905.00414)",
        note="the weight is Mentee's",
    ),
)


FEATURE_METHODS = (
    Method(
        "fitnet",
        (Term("stages.1", Component("mse"), 100.0, Component("regressor")),),
        about="A hint: the second stage's map, elementwise, through a convolution.",
        source="FitNets, hints for thin deep nets (Romero et al. 2015, arXiv:1412.6550)",
    ),
    Method(
        "at",
        (Term("stages", Component("mse"), 1000.0, Component("attention")),),
        about="Attention maps at every stage: no heads, and a record is small.",
        source="Attention Transfer (Zagoruyko and Komodakis 2017, arXiv:1612.03928)",
    ),
    Method(
        "nst",
        (Term("stages", Component("nst"), 50.0, Component("feature_maps")),),
        about="The channels of each stage as samples of one distribution: no heads; costly.",
        source="Neuron Selectivity Transfer (Huang and Wang 2017, arXiv:1707.01219)",
    ),
    Method(
        "vid",
        (Term("stages", Component("vid"), 1.0, Component("gaussian")),),
        about="How surprising the teacher's stages are, given the student's: with a variance for "
        "each channel, what cannot be followed weighs less.",
        source="Variational Information Distillation (Ahn et al. 2019, arXiv:1904.05835)",
    ),
    Method(
        "ickd",
        (Term("stages.last", Component("ickd"), 2.5, Component("regressor", {"resize": False})),),
        about="Which channels of the last stage go together, in each example.",
        source="Inter-Channel Correlation for Knowledge Distillation "
        "(Liu et al. 2021, arXiv:2202.03680)",
        note="2.5 alone and with soft targets, ickd+kd; without its batch norm",
    ),
    Method(
        "ofd",
        (Term("stages", Component("partial_l2"), 1.0, Component("margin_relu"), stage_decay=0.5),),
        about="The stages' maps, but not how negative an inactive unit is: best where "
        "the teacher is read before its ReLU, by layers of your own.",
        source="Overhaul of Feature Distillation (Heo et al. 2019, arXiv:1904.01866)",
    ),
    Method(
        "ft",
        (Term("stages.last", Component("l1"), 200.0, Component("paraphraser")),),
        about="Factors of the last stage from an autoencoder, which is pretrained.",
        source="Factor Transfer (Kim et al. 2018, arXiv:1802.04977)",
    ),
    Method(
        "ab",
        (
            Term(
                "stages",
                Component("ab"),
                1.0,
                Component("regressor"),
                stage_decay=0.5,
                exclusive_warmup=FIRST,
            ),
        ),
        about="Which units are active: a warmup of the student; afterwards the task alone.",
        source="Distillation of Activation Boundaries (Heo et al. 2019, arXiv:1811.03233)",
    ),
    Method(
        "fsp",
        (
            Term(
                "stem&stages", Component("squared"), 50.0, Component("fsp"), exclusive_warmup=FIRST
            ),
        ),
        about="Inner products of the channels of one layer with those of the next: a warmup of the "
        "student; afterwards the task alone.",
        source="Flow of Solution Procedure (Yim et al. 2017, CVPR)",
        note="the weight is that of arXiv:1910.10699; a convolution where the channels differ",
    ),
    Method(
        "reviewkd",
        (Term("stages&embedding", Component("squared"), 5.0, Component("reviewkd"), ramp=RISE),),
        about="Every stage of the teacher from all later ones of the student: strong between "
        "unlike networks.",
        source="Distilling Knowledge via Knowledge Review (Chen et al. 2021, arXiv:2104.09044)",
        note="5 for WRN-40-2 and ResNet32x4 (8 to ShuffleNetV2), 0.6 for ResNet56 to ResNet20, 1 "
        "for ResNet110 to ResNet32; group norms in place of batch norms",
    ),
    Method(
        "semckd",
        (Term("stages", Component("squared"), 400.0, Component("semckd")),),
        about="Every stage from those of the teacher that attention selects: between unlike "
        "networks.",
        source="Cross-Layer Distillation with Semantic Calibration "
        "(Chen et al. 2021, arXiv:2012.03236)",
        note="published with soft targets, semckd+kd (both 1 with the task's loss); 50 in place "
        "of 400 on ImageNet",
    ),
    Method(
        "simkd",
        (Term(("projector", "stages.last"), Component("mse"), 1.0, Component("feature_maps")),),
        task=0.0,
        reuse="stages.last",
        about="The last map through a projector, read by the teacher's classifier: the student "
        "keeps both, and is that much larger; no labels. Strong where the teacher is good.",
        source="Knowledge Distillation with the Reused Teacher Classifier "
        "(Chen et al. 2022, arXiv:2203.14001)",
    ),
    Method(
        "simkd-pooled",
        (Term(("projector", "embedding"), Component("mse"), 1.0),),
        task=0.0,
        reuse="embedding",
        about="The vector that the teacher's classifier reads through a projector, and that "
        "classifier: any two networks whose last layer is linear.",
        source="Knowledge Distillation with the Reused Teacher Classifier "
        "(Chen et al. 2022, arXiv:2203.14001)",
        note="there of maps alone",
    ),
)
