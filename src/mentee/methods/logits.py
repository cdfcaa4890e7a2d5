"""Methods that compare logits: the teacher has the student's classes, in the same order."""

from __future__ import annotations

from mentee.methods.method import Component, Method, Term

RISE = 20 / 240
"""Share of the published steps: over 20 of 240 epochs the weight rises from 0."""


def soft_targets(weight: float) -> Term:
    """Hinton's soft targets."""
    return Term("logits", Component("kl", {"temperature": 4.0}), weight)


def _levels(temperature: float) -> tuple[Term, ...]:
    """Instance, batch and class level at one temperature."""
    losses = ("kl", "batch_level", "class_level")
    return tuple(
        Term("logits", Component(name, {"temperature": temperature}), 0.9) for name in losses
    )


LOGIT_METHODS = (
    Method(
        "kd",
        (soft_targets(0.9),),
        task=0.1,
        summed_terms=(soft_targets(1.0),),
        unlabeled_terms=(soft_targets(1.0),),
        about="Softened logits: cheap, needs a teacher of the same classes.",
        source="Knowledge Distillation (Hinton et al. 2015, arXiv:1503.02531)",
    ),
    Method(
        "binary-kd",
        (Term("logits", Component("binary_kd", {"temperature": 2.0}), 0.9),),
        task=0.1,
        summed_terms=(Term("logits", Component("binary_kd", {"temperature": 2.0}), 1.0),),
        about="Softened logits of each class on its own: kd for several classes at once.",
        source="Embeddings as Teachers (Ding and Lerch 2023, arXiv:2306.17424)",
        note="there of a probe; the weights are those of kd",
    ),
    Method(
        "hard-label",
        (Term("logits", Component("hard_label"), 0.5),),
        task=0.5,
        summed_terms=(Term("logits", Component("hard_label"), 1.0),),
        about="The teacher's decision as a second label: where augmentation makes labels wrong.",
        source="Hard-label distillation of DeiT (Touvron et al. 2021, arXiv:2012.12877)",
    ),
    Method(
        "lskd",
        (Term("logits", Component("kl", {"temperature": 2.0}), 9.0, Component("standardized")),),
        task=0.1,
        about="Soft targets of standardized logits: a small student need not be as confident as "
        "its teacher; cheap and strong.",
        source="Logit Standardization in Knowledge Distillation "
        "(Sun et al. 2024, arXiv:2403.01427)",
    ),
    Method(
        "dkd",
        (
            Term(
                "logits",
                Component("dkd", {"temperature": 4.0, "alpha": 1.0, "beta": 8.0}),
                1.0,
                ramp=RISE,
            ),
        ),
        about="Soft targets in two parts, with more weight on the other classes: for a confident "
        "teacher.",
        source="Decoupled Knowledge Distillation (Zhao et al. 2022, arXiv:2203.08679)",
        note="beta is 2 to 8 there, 8 for ResNet32x4",
    ),
    Method(
        "nkd",
        (Term("logits", Component("nkd", {"temperature": 1.0, "gamma": 1.5}), 1.0),),
        about="The label's class and the others among themselves, each as a cross-entropy: "
        "published on ImageNet.",
        source="Normalized Knowledge Distillation (Yang et al. 2023, arXiv:2303.13005)",
    ),
    Method(
        "dist",
        (Term("logits", Component("dist", {"temperature": 4.0, "beta": 1.0, "gamma": 1.0}), 2.0),),
        about="Correlations of an example's classes and of a class's examples: for a teacher much "
        "stronger than the student.",
        source="Knowledge Distillation from a Stronger Teacher "
        "(Huang et al. 2022, arXiv:2205.10536)",
        note="T = 4 on CIFAR-100, 1 on ImageNet, the weight 2 on both",
    ),
    Method(
        "ttm",
        (Term("logits", Component("ttm", {"power": 0.1}), 45.0),),
        about="Soft targets with the teacher alone softened, by a power.",
        source="Transformed Teacher Matching (Zheng and Yang 2024, arXiv:2402.11148)",
        note="its numbers for VGG13 to VGG8",
    ),
    Method(
        "wttm",
        (Term("logits", Component("wttm", {"power": 0.2}), 4.0),),
        about="Soft targets of ttm, with more weight where the teacher is uncertain: strong with "
        "crd too.",
        source="Transformed Teacher Matching (Zheng and Yang 2024, arXiv:2402.11148)",
        note="its numbers in combination with crd",
    ),
    Method(
        "mlkd",
        tuple(term for t in (2.0, 3.0, 4.0, 5.0, 6.0) for term in _levels(t)),
        task=0.1,
        about="Soft targets, and similarities of predictions among examples and classes, at five "
        "temperatures.",
        source="Multi-Level Logit Distillation (Jin, Wang and Lin 2023, CVPR)",
        note="numbers as in its authors' code and that of arXiv:2403.01427; without the second, "
        "strong view and the masks",
    ),
    Method(
        "output-mse",
        (Term("logits", Component("mse"), 0.5),),
        task=0.5,
        summed_terms=(Term("logits", Component("mse"), 1.0),),
        unlabeled_terms=(Term("logits", Component("mse"), 1.0),),
        about="The teacher's outputs, matched by squared error: for a regression, and for classes "
        "without a temperature.",
        source="Ba and Caruana 2014, arXiv:1312.6184",
        note="without labels there; the shares are Mentee's",
    ),
    Method(
        "bounded-regression",
        (Term("logits", Component("bounded_regression"), 0.5),),
        about="Targets count more where the student is worse than its teacher: for a regression.",
        source="Chen et al. 2017, Learning Efficient Object Detection Models with Knowledge "
        "Distillation, NeurIPS",
        note="there of boxes, beside a smooth L1 loss (data.task.params.criterion: smooth_l1)",
    ),
)
