"""`mentee push`: a run's exported files, card, recipe and page on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from mentee.errors import MenteeError, RunError, shortened, shown
from mentee.evaluation.evaluator import finished_files, plain_content_errors
from mentee.report import html, run_page
from mentee.report.run_page import recipe_of
from mentee.runs.folder import Folder
from mentee.sharing.card import CARD, card_text, public_run
from mentee.sharing.local_paths import LOCAL, local_names, pattern
from mentee.sharing.metadata import HUB_ID

TRANSPORT = ("httpx", "httpx2", "httpcore", "requests", "urllib3")
"""Packages whose errors are of the connection."""


@dataclass(frozen=True)
class Pushed:
    """What was pushed.

    Attributes:
        url: of the commit; "": nothing was sent.
        files: the bytes of each file by its name in the repository.
    """

    url: str
    files: Mapping[str, int]


def push(run: str | Path, repo: str, *, private: bool = False, dry_run: bool = False) -> Pushed:
    """Push a finished run to a repository of the Hugging Face hub, in one commit.

    The files of `RUN/export`, the card (`README.md` of the run, where `mentee card` wrote one),
    `recipe.yaml`, `report.html` without the images of examples, and `metrics.jsonl`; never the
    teacher, checkpoints or records. Paths of this machine are replaced by `LOCAL`.

    Args:
        run: the run's folder.
        repo: `owner/name`; it is made where there is none.
        private: whether a new repository is private.
        dry_run: send nothing.

    Returns:
        The commit, and the files.

    Raises:
        RunError: the run is not finished, or an exported file holds a path of this machine.
        MenteeError: there is no token, it is refused, the repository is someone else's, or the
            connection is lost; nothing is committed.
    """
    if not HUB_ID.fullmatch(repo):
        raise MenteeError(f"{shown(repo)} is no repository of the hub; expected owner/name")
    contents = public_files(Path(run))
    sizes = {
        name: each.stat().st_size if isinstance(each, Path) else len(each)
        for name, each in contents.items()
    }
    return Pushed("" if dry_run else _commit(repo, private, contents), sizes)


def public_files(path: Path) -> dict[str, Path | bytes]:
    """What others see of a run, by names in the repository: files, or their content."""
    whole, folder, card = finished_files(path), Folder(path), path / CARD
    names = local_names(path, recipe_of(whole.recipe))
    local = pattern(names)
    with plain_content_errors(path):
        run = public_run(whole, path)
        written = card.read_text("utf-8") if card.is_file() else card_text(run, path)
        texts = {CARD: local.sub(LOCAL, written), folder.recipe.name: run.recipe}
        texts[folder.page.name] = html(run_page(run))
    contents: dict[str, Path | bytes] = {name: text.encode() for name, text in texts.items()}
    contents[folder.metrics.name] = folder.metrics.read_bytes()
    inside = pattern([name.encode().decode("latin-1") for name in names], re.ASCII)
    for each in sorted((path / "export").rglob("*")):
        if not each.is_file() or each.is_symlink() or each.name.startswith("."):
            continue
        if match := inside.search(each.read_bytes().decode("latin-1")):
            raise RunError(
                f"{each} holds {shortened(match[0])}, a path of this machine; export the run "
                "again, or take the file away"
            )
        contents[each.relative_to(path).as_posix()] = each
    return contents


def _commit(repo: str, private: bool, contents: Mapping[str, Path | bytes]) -> str:
    """Make the repository where there is none, and commit; returns the commit's address."""
    if get_token() is None:
        raise MenteeError(
            "there is no token of the Hugging Face hub; log in with: hf auth login, or set HF_TOKEN"
        )
    api = HfApi(library_name="mentee")
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        operations = [CommitOperationAdd(name, each) for name, each in contents.items()]
        commit = api.create_commit(repo, operations, commit_message="Student trained with Mentee")
    except Exception as error:
        if (why := _reason(error, repo, api.endpoint)) is None:
            raise
        raise MenteeError(f"{why}; nothing was committed") from error
    return str(commit.commit_url)


def _reason(error: BaseException, repo: str, endpoint: str) -> str | None:
    """What went wrong at the hub or on the way there, and what to do; None: something else."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return {
            401: "the hub refused the token; log in again with: hf auth login, or set HF_TOKEN",
            403: f"the token may not write to {repo}: it is someone else's, or the token only "
            "reads; name a repository of your own, or take a token that writes",
            404: f"there is no repository {repo} that the token may write to",
        }.get(status, f"the hub answered {status}: {shortened(error.server_message or '', 200)}")
    if isinstance(error, HFValidationError):
        return f"{shown(repo)} is no repository of the hub: {error}"
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in TRANSPORT:
        return f"the connection to {endpoint} failed ({shortened(str(error), 200)}); push again"
    return _reason(error.__cause__, repo, endpoint) if error.__cause__ else None
