"""The one comment of ours on a pull request: found again by a mark that nobody sees, and brought up to date.

Asked is GitHub's REST API (https://docs.github.com/rest/issues/comments), also that of an enterprise, as a job's
environment names it. The token goes to that address alone: no redirect is followed, and no error quotes it.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any, Literal

from pytest_vdb import files
from pytest_vdb.errors import ServiceError, VdbError

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_ADDRESS = re.compile(r"https?://[\w.:\[\]/-]+", re.ASCII)
_A_PAGE = 100
"""Comments of one answer: the most that GitHub gives."""
_MOST_PAGES = 100
_LARGEST_ANSWER = 64 << 20
_PATIENCE_S = 30
_TRUSTED = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Where the comment belongs, and the token that may write it."""

    api: str
    """`https://api.github.com`, or that of an enterprise."""
    repository: str
    """`owner/name`."""
    number: int
    token: str = field(repr=False)


def number_of(event: Path) -> int | None:
    """The pull request that a job's event is about, or None.

    Args:
        event: the JSON that `$GITHUB_EVENT_PATH` names.

    Raises:
        VdbError: it cannot be read.
    """
    content = files.read_json(event, error=ServiceError, mend="GITHUB_EVENT_PATH names it")
    if not isinstance(content, dict):
        return None
    issue = content.get("issue")
    about = content.get("pull_request") or (issue if isinstance(issue, dict) and issue.get("pull_request") else None)
    number = about.get("number") if isinstance(about, dict) else None
    return number if isinstance(number, int) else None


def of_job(environment: Mapping[str, str]) -> PullRequest | str:
    """The pull request of a job on GitHub, or why there is nothing to comment on.

    Raises:
        VdbError: what the environment names cannot be read, or is no address or repository.
    """
    event, token = environment.get("GITHUB_EVENT_PATH"), environment.get("GITHUB_TOKEN")
    if not event:
        return "this is no job of GitHub (GITHUB_EVENT_PATH is not set)"
    number = number_of(Path(event))
    if number is None:
        return "the job's event is about no pull request"
    if not token:
        return "there is no token (GITHUB_TOKEN is not set)"
    if not re.fullmatch(r"[!-~]+", token):
        raise ServiceError("the token holds blanks or other characters that none has", where="GITHUB_TOKEN")
    api = environment.get("GITHUB_API_URL") or "https://api.github.com"
    repository = environment.get("GITHUB_REPOSITORY", "")
    for name, value, pattern in (("GITHUB_API_URL", api, _ADDRESS), ("GITHUB_REPOSITORY", repository, _REPOSITORY)):
        if not pattern.fullmatch(value):
            raise ServiceError(f"{value!r} cannot be used", where=name, mend="GitHub's runner sets it")
    return PullRequest(api.rstrip("/"), repository, number, token)


def comment(pull: PullRequest, body: str, *, mark: str) -> tuple[Literal["made", "updated"], str]:
    """Write the comment, or bring the one that begins with the mark up to date.

    Returns:
        What was done, and the comment's address.

    Raises:
        ServiceError: GitHub refused, or cannot be reached; what to do is said.
    """
    comments = f"/repos/{pull.repository}/issues/{pull.number}/comments"
    text = {"body": f"{mark}\n{body}"}
    for known in _comments(pull, comments):
        if str(known.get("body", "")).startswith(mark) and _is_trusted(known):
            answer = _ask(pull, "PATCH", f"/repos/{pull.repository}/issues/comments/{int(known['id'])}", text)
            return "updated", _address_of(answer)
    return "made", _address_of(_ask(pull, "POST", comments, text))


def _comments(pull: PullRequest, path: str) -> Iterator[dict[str, Any]]:
    for number in range(1, _MOST_PAGES + 1):
        page = _ask(pull, "GET", f"{path}?per_page={_A_PAGE}&page={number}")
        if not isinstance(page, list):
            raise ServiceError("the answer is no list of comments", where=pull.api, mend="is GITHUB_API_URL right?")
        yield from (one for one in page if isinstance(one, dict) and isinstance(one.get("id"), int))
        if len(page) < _A_PAGE:
            return


def _is_trusted(known: Mapping[str, Any]) -> bool:
    """Whether a job or somebody of the repository wrote it: anyone can copy the mark, and change the comment later."""
    user = known.get("user")
    by_job = isinstance(user, dict) and user.get("type") == "Bot"
    return by_job or known.get("author_association") in _TRUSTED


def _address_of(answer: Any) -> str:
    return str(answer.get("html_url", "")) if isinstance(answer, dict) else ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib would hand the token to whatever address an answer names."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """None: the answer is an error."""


def _ask(pull: PullRequest, method: str, path: str, content: object = None) -> Any:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {pull.token}",
        "Content-Type": "application/json",
        "User-Agent": "pytest-vdb",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    data = None if content is None else json.dumps(content).encode()
    asked = urllib.request.Request(pull.api + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.build_opener(_NoRedirects).open(asked, timeout=_PATIENCE_S) as answer:
            text = answer.read(_LARGEST_ANSWER).decode("utf-8", "replace")
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise _refusal_in_words(pull, refusal) from None
    except (OSError, http.client.HTTPException) as problem:  # URLError is an OSError
        why = getattr(problem, "reason", None) or problem
        mend = "is there a network, and is GITHUB_API_URL right?"
        raise ServiceError(f"cannot be reached: {why}", where=pull.api, mend=mend) from None
    return files.parse_json(text, where=pull.api, error=ServiceError, mend="is GITHUB_API_URL right?")


def _refusal_in_words(pull: PullRequest, refusal: urllib.error.HTTPError) -> VdbError:
    where = f"pull request {pull.number} of {pull.repository}"
    if refusal.code == 429 or (refusal.code == 403 and _is_rate_limit(refusal)):
        return ServiceError(f"GitHub's rate limit is reached ({refusal.code})", where=where, mend=_when_again(refusal))
    return ServiceError(f"GitHub answers {refusal.code} {refusal.reason}", where=where, mend=_mend_of(refusal.code))


def _mend_of(status: int) -> str:
    if status in {301, 302, 307, 308}:
        return "the repository was renamed or moved: GITHUB_REPOSITORY or GITHUB_API_URL names its old place"
    match status:
        case 401:
            return "the token is wrong or has expired"
        case 403:
            return (
                "the token may not write comments: give the job `permissions: pull-requests: write`; on pull requests "
                "from forks GitHub gives none that may"
            )
        case 404:
            return "there is none that the token can see: check the repository, and that the token may read it"
        case 422:
            return "it does not take this comment"
        case _:
            return "try again later" if status >= 500 else "see https://docs.github.com/rest/issues/comments"


def _is_rate_limit(refusal: urllib.error.HTTPError) -> bool:
    return refusal.headers.get("x-ratelimit-remaining") == "0" or refusal.headers.get("retry-after") is not None


def _when_again(refusal: urllib.error.HTTPError) -> str:
    waiting, reset = refusal.headers.get("retry-after", ""), refusal.headers.get("x-ratelimit-reset", "")
    if waiting.isdecimal():
        return f"try again in {waiting} s"
    return f"try again in {max(0, int(reset) - int(time.time()))} s" if reset.isdecimal() else "try again later"
