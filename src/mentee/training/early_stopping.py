"""Early stopping with a cooldown: no more gains, so the learning rate falls to zero first."""

from __future__ import annotations

from mentee.distillation.loop import Plan
from mentee.recipe import Select
from mentee.runs.state import RunState


class EarlyStopping:
    r"""When a run stops early, and its learning rate until then.

    After `select.patience` evaluations in turn that were no better, at step a, the rate falls in a
    line to zero over a part c, `select.cooldown`, of the steps done, in whole epochs:

    .. math:: \eta(n) = \eta(a) \frac{b - n}{b - a}, \quad a \le n < b = (1 + c) \, a

    With c = 0 the run is over at a. No evaluation counts while the rate still rises: a score at a
    growing rate does not predict the final one. b is never after the schedule's end.

    Args:
        select: `select` of the recipe.
        plan: the steps, and the rate of each by the schedule.

    Source: the line to zero after a plateau is the cooldown of Hägele et al. 2024
    (arXiv:2405.18392), there after a number of steps that was chosen before.
    """

    def __init__(self, select: Select, plan: Plan) -> None:
        self.patience, self.cooldown, self.plan = select.patience, select.cooldown, plan
        self._epoch = plan.steps // plan.epochs

    def rate(self, progress: RunState, done: int, total: int) -> float:
        """What the base rate is multiplied by after `done` steps."""
        if progress.cooldown is None:
            return self.plan.lr(done, total)
        begin, end = progress.cooldown
        return self.plan.lr(begin, total) * max(0.0, (end - done) / (end - begin))

    def steps(self, progress: RunState) -> int:
        """How many steps the run will have, as far as is known."""
        return progress.cooldown[1] if progress.cooldown else self.plan.steps

    def judge(self, progress: RunState, done: int) -> str:
        """Judge an epoch's evaluation, of its last step; returns a line to print, or "".

        The state, changed in place, counts evaluations without a gain, and has the step at which
        the rate began to fall.
        """
        if self._rises(done):
            progress.stale = 0
        if progress.cooldown is not None or not self._stale(progress):
            return ""
        reason = f"no better for {progress.stale} evaluations"
        if not self.cooldown:
            return f"{reason}: stopped early"
        epochs = max(1, round(self.cooldown * done / self._epoch))
        end = min(done + epochs * self._epoch, self.plan.steps)
        progress.cooldown = (done, end)
        return f"{reason}: {self.ending(progress)}"

    def ending(self, progress: RunState) -> str:
        """How a run ends whose rate falls to zero; "" of any other."""
        if progress.cooldown is None:
            return ""
        epoch = progress.cooldown[1] // self._epoch
        return f"the rate falls to zero until epoch {epoch}, then it stops"

    def over(self, progress: RunState, done: int) -> bool:
        """Whether the run ends here, before or at its plan's end."""
        if progress.cooldown is not None:
            return done >= progress.cooldown[1]
        return not self.cooldown and self._stale(progress)

    def _stale(self, progress: RunState) -> bool:
        return self.patience is not None and progress.stale >= self.patience

    def _rises(self, done: int) -> bool:
        """Whether the schedule's rate is still on its way up."""
        now, before = (self.plan.lr(n, self.plan.steps) for n in (done, done - 1))
        return now > before
