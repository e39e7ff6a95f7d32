"""Whether a model does what any model must: every check on one model, without warming it up for timings first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_vdb.bench.session import Session
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.models.conformance import Finding
    from pytest_vdb.models.contract import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found of one model."""

    findings: tuple[Finding, ...]
    revision: str | None
    """Commit of the weights that were loaded; None: none were."""


def examined(session: Session, card: ModelCard) -> Examined:
    """Every check of `pytest_vdb.models.conformance` on one model under the session's recipe."""
    from pytest_vdb.models.conformance import Examination

    held = _OpenModel(session, card)
    examination = Examination(
        card, session.recipe(card), load=held.load, unload=held.unload, device=session.source.device
    )
    try:
        return Examined(findings=tuple(examination.findings()), revision=held.revision)
    finally:
        held.unload()


class _OpenModel:
    """Loads the model when a check first needs it, and again when one has freed it."""

    def __init__(self, session: Session, card: ModelCard) -> None:
        self._session = session
        self._card = card
        self._model: Model | None = None
        self.revision: str | None = None

    def load(self) -> Model:
        """The open model."""
        if self._model is None:
            session, card = self._session, self._card
            self._model = session.registry.open(card, session.recipe(card), session.source)
            self.revision = self._model.revision
        return self._model

    def unload(self) -> None:
        """Free it."""
        model, self._model = self._model, None
        if model is not None:
            model.close()
