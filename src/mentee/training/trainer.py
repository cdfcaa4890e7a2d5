"""One run from its first step, or a checkpoint, to its report."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from mentee import files
from mentee.build.resolve import seed_by_rank
from mentee.build.setup import TrainingSetup
from mentee.distillation.loop import train
from mentee.distillation.weights import FIRST
from mentee.errors import RunError
from mentee.evaluation.evaluator import finish, monitor_student, score
from mentee.evaluation.teacher_check import check_teachers
from mentee.parallel import max_over_processes, rank
from mentee.report import Reporter, loss_lines
from mentee.runs import checkpoint
from mentee.runs.environment import environment
from mentee.runs.folder import Folder
from mentee.runs.metrics import read_lines
from mentee.runs.state import RunState
from mentee.training.adapter_pretraining import pretrain_adapters
from mentee.training.costs import peak_memory, reset_peak, timed
from mentee.training.early_stopping import EarlyStopping
from mentee.training.metric_sinks import MetricSink, load_trackers, named
from mentee.training.options import RunOptions
from mentee.training.signals import Interrupted, Paused, SignalGuard
from mentee.types import Step

LOGGED = 50


class Training:
    """A run under way; only the first process writes into its folder."""

    def __init__(self, parts: TrainingSetup, folder: Folder, options: RunOptions) -> None:
        self.parts, self.folder, self.on_step = parts, folder, options.on_step
        self.quiet = options.quiet or rank() != 0
        self.recipe, self.progress = parts.recipe, RunState()
        self.stopping = EarlyStopping(self.recipe.select, parts.plan)
        self.until = options.until
        self._trackers = load_trackers(self.recipe.trackers)
        self._sinks: list[MetricSink] = []
        self._since = reset_peak()
        self._began = self._saved_at = time.monotonic()
        self._saved_step = self.steps_done = 0
        self._teacher = parts.teacher.fingerprint() if parts.teacher else None
        self._uncounted: list[Step] = []
        self._notes = [*parts.network_notes, *parts.compute_notes]
        if not options.inspect:  # else they were printed with what was read
            self._notes[:0] = parts.splits.notes

    def begin(self, *, again: bool = False) -> None:
        """Make the run folder; `again`: of a run that ended before its first checkpoint."""
        facts = environment(
            data=self._fingerprints(),
            teacher=self._teacher,
            method=self.parts.method.as_json(),
            processes=self.parts.accelerator.num_processes,
            **self.parts.notes,
        )
        if rank() == 0:
            self.folder.begin(self.recipe, facts, again=again)
        if again:
            self._notes.append("there is no checkpoint yet: the run starts from its beginning")

    def restore(self) -> Step:
        """Go back to the newest checkpoint; returns the last step done.

        Raises:
            RunError: there is none to read, or the data, the teacher or the method's terms are no
                longer those it began with.
        """
        facts = self.folder.read_environment()
        began = {f"{name} examples": was for name, was in facts["data"].items()}
        teacher = "teacher's weights, or the layers that the method reads,"
        began[teacher] = facts["teacher"]
        now = {f"{name} examples": is_now for name, is_now in self._fingerprints().items()}
        now[teacher] = self._teacher
        for name, was in began.items():
            if now[name] != was:
                raise RunError(
                    f"the {name} are no longer those that {self.folder.path} began with "
                    f"(fingerprint {now[name]}, not {was}); bring them back, or start again"
                )
        if facts.get("method", method := self.parts.method.as_json()) != method:
            raise RunError(
                f"{self.recipe.method.name} is no longer the method that {self.folder.path} began "
                f"with: mentee {facts['mentee']} had other terms of that name; finish the run with "
                "that version, or start again"
            )
        state = checkpoint.load(self.folder.checkpoints)
        parts, scaler = self.parts, self.parts.accelerator.scaler
        done = checkpoint.restore(state, parts.module, parts.optimizer, parts.average, scaler)
        self.progress = RunState.restored(state["run_state"])
        self._began -= self.progress.wall
        self._saved_step = self.steps_done = done.number
        if damage := read_lines(self.folder.metrics)[1]:
            self._notes.append(damage)
        return done

    def run(self, done: Step | None = None) -> dict[str, Any]:
        """Train from its first step, or after the last one done, to the end, then score and report.

        Returns:
            The content of `summary.json`.

        Raises:
            Interrupted: by a signal; everything is saved.
            Paused: it has reached `until`.
        """
        first = done.number if done else 0
        if rank() == 0:
            files.remove_temporaries(self.folder.checkpoints)
        steps = self.stopping.steps(self.progress)
        with (
            self._open_sinks(first),
            SignalGuard() as signals,
            Reporter(steps, first, quiet=self.quiet) as reporter,
        ):
            for line in self._notes:
                reporter.say(line)
            if done is not None:
                reporter.say(
                    f"resumed after step {first:,} of {steps:,}, in epoch {done.epoch + 1}"
                )
                if text := self.stopping.ending(self.progress):
                    reporter.say(text)
            if done is None:
                self.progress.teachers |= check_teachers(self.parts, reporter.say)
                if text := self._monitor(Step(0, -1, 0, 0.0)):
                    reporter.say(f"before the first step: {text}")
                pretrain_adapters(self.parts)
                seed_by_rank(self.recipe.train.seed)
            last = self._train(done, signals, reporter)
            wall, memory = self._wall(), peak_memory(self._since)
            summary = finish(self.parts, self.folder, self.progress, last, wall, memory)
            for text in summary["warnings"]:
                reporter.say(f"warning: {text}")
            return summary

    @contextlib.contextmanager
    def _open_sinks(self, first: int) -> Iterator[None]:
        """Open the sinks of the first process, and close them at the end, also after an error."""
        with contextlib.ExitStack() as opened:
            for tracker in self._trackers if rank() == 0 else []:
                self._sinks.append(tracker(self.folder.path, first))
                opened.callback(self._sinks[-1].close)
            yield

    def _train(self, done: Step | None, signals: SignalGuard, reporter: Reporter) -> Step:
        """The steps, and what happens between them; returns the last."""
        parts, last = self.parts, done or Step(0, 0, 0, 0.0)
        if self._over(last):  # it was stopped between its last validation and its end
            return last
        self._check_pause(last)
        steps = train(
            parts.module,
            parts.teacher,
            parts.batches,
            parts.optimizer,
            dataclasses.replace(parts.plan, lr=partial(self.stopping.rate, self.progress)),
            parts.accelerator,
            average=parts.average,
            done=done,
        )
        for last, seconds in timed(steps):
            self.steps_done = last.number
            self.progress.seconds += seconds
            self._uncounted.append(last)
            reporter.step(last, seconds)
            if last.number == min(FIRST, parts.plan.steps):
                self._report_loss_sizes(last, reporter)
            if self.on_step is not None:
                self.on_step(last)
            ends_epoch = last.position >= parts.plan.batches
            if ends_epoch or self.progress.counted + len(self._uncounted) == LOGGED:
                self._count_losses()
                means = self.progress.means()
                weights = parts.module.criterion.loss_weights.effective(last.number - 1)
                self._log(last, named("losses", means) | named("weights", weights), lr=last.lr)
            if ends_epoch:
                self._validate(last, means, reporter)
                if text := self.stopping.judge(self.progress, last.number):
                    reporter.say(text)
                    reporter.expect(self.stopping.steps(self.progress))
            signal = max_over_processes(signals.number or 0)
            if signal or self._due(last) or self._pauses(last):
                self._save(last)
            if signal:
                raise Interrupted(
                    f"stopped after step {last.number} of {parts.plan.steps}, everything is saved; "
                    f"resume it: mentee resume {self.folder.path}",
                    signal,
                )
            if ends_epoch and self._over(last):
                break
            self._check_pause(last)
        return last

    def _report_loss_sizes(self, step: Step, reporter: Reporter) -> None:
        """Store, log and print the sizes of the losses and their gradient norms."""
        loss_weights = self.parts.module.criterion.loss_weights
        measured = loss_weights.loss_sizes
        self.progress.measured = {
            "steps": measured.steps,
            "beside": measured.reference,
            "losses": measured.table(loss_weights.effective()),
        }
        norms = {name: each.own for name, each in measured.gradient_norms.items()}
        norms = {name: value for name, value in norms.items() if math.isfinite(value)}
        if norms:
            self._log(step, named("gradient_norms", norms))
        if self.parts.module.criterion.bound_terms:
            for line in loss_lines(self.progress.measured):
                reporter.say(line)

    def _validate(self, step: Step, means: Mapping[str, float], reporter: Reporter) -> None:
        """Score the student on validation, save it if it is the best, print the epoch's line."""
        epochs, select = self.recipe.train.epochs, self.recipe.select
        epoch, texts = step.epoch + 1, list[str]()
        examples = self.parts.splits.validation
        due = epoch % select.every == 0 or epoch == epochs or self._over(step)
        if examples is not None and due:
            scores = score(self.parts, examples)
            self._log(step, named("validation", scores))
            if select.by is not None and select.by != "knn":
                if select.by not in scores:
                    raise RunError(f"select.by is {select.by}, expected one of {', '.join(scores)}")
                texts.append(f"validation {select.by} {scores[select.by]:.4f}")
                higher = examples.task.direction(select.by)
                if self.progress.improves(scores[select.by], epoch, higher=higher):
                    self._save_best()
        if due:
            texts.append(self._monitor(step))
        reporter.epoch(epoch, epochs, means, "  ".join(filter(None, texts)), step.number)

    def _monitor(self, step: Step) -> str:
        """Score the student on the monitored examples, save it if it is the best."""
        result = monitor_student(self.parts)
        if result is None:
            return ""
        text, line = f"knn {result.knn:.4f}", {"knn": result.knn}
        if self.recipe.select.by == "knn":
            growth = self.progress.grows(result.knn, result.left_out, step.epoch + 1)
            if growth.best:
                self._save_best()
            line |= {"gain": growth.gain, "noise": growth.noise}
            text += f" ({growth.gain:+.4f} ± {growth.noise:.4f})"
        if result.probe is not None:
            text, line = f"{text}  probe {result.probe:.4f}", line | {"probe": result.probe}
        self._log(step, named("monitor", line))
        return text

    def _save_best(self) -> None:
        weights = self.parts.student.state_dict()  # of all processes, where it is split
        if rank() == 0:
            self.folder.save_weights(self.folder.best, weights)

    def _over(self, step: Step) -> bool:
        return self.stopping.over(self.progress, step.number)

    def _due(self, step: Step) -> bool:
        """Whether a checkpoint is due, by steps or by minutes."""
        config, ends = self.recipe.save, step.number == self.parts.plan.steps
        many = config.steps is not None and step.number - self._saved_step >= config.steps
        seconds = time.monotonic() - self._saved_at
        long = config.minutes is not None and seconds > 60 * config.minutes
        return bool(max_over_processes(int(many or long or ends)))

    def _pauses(self, step: Step) -> bool:
        """Whether it has reached `until`, and there is more to do."""
        if self.until is None or self.until >= self.recipe.train.epochs:
            return False
        return step.epoch + (step.position >= self.parts.plan.batches) >= self.until

    def _check_pause(self, step: Step) -> None:
        if self._pauses(step):
            raise Paused(step.epoch + (step.position >= self.parts.plan.batches))

    def _count_losses(self) -> None:
        """Add up the losses of the steps since the last call; on a GPU the host waits for them."""
        for step in self._uncounted:
            self.progress.add(step.losses)
        self._uncounted.clear()

    def _save(self, step: Step) -> None:
        self._count_losses()
        self._saved_at, self._saved_step = time.monotonic(), step.number
        self.progress.wall = self._wall()
        parts = self.parts
        checkpoint.save(
            self.folder.checkpoints,
            step,
            parts.module,
            parts.optimizer,
            average=parts.average,
            scaler=parts.accelerator.scaler,
            progress=dataclasses.asdict(self.progress),
        )

    def _log(self, step: Step, values: Mapping[str, int | float], **more: float) -> None:
        """Send the numbers of a step to all sinks; only the first process has any."""
        for sink in self._sinks:
            sink.log(step.number, {"epoch": step.epoch + 1, **values, **more})

    def _fingerprints(self) -> dict[str, str | None]:
        splits = self.parts.splits
        parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
        parts |= {"monitor": self.parts.monitor_examples} if self.parts.monitor_examples else {}
        return {name: part.fingerprint() if part else None for name, part in parts.items()}

    def _wall(self) -> float:
        return time.monotonic() - self._began
