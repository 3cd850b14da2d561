"""Adapters: each turns one kind of model into what `auditkit.model.Model` promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditkit.config import AuditConfig
    from auditkit.model import Model
    from auditkit.prediction_store import PredictionStore
    from auditkit.sources.table import SourceTable


def load_model(
    config: AuditConfig, table: SourceTable, store: PredictionStore | None = None
) -> Model:
    """The configured model under audit.

    Args:
        config: `model` says which; `data` names the label column, from which recorded
            predictions without class names take them; `online` allows a hub model.
        table: The data, which holds the answers when there are only recorded predictions.
        store: What earlier audits left; a model described there is loaded when it is asked.

    Raises:
        AuditkitError: The model cannot be loaded, or not safely.
    """
    if config.model.path is not None:
        from auditkit.models.thresholded import with_thresholds
        from auditkit.models.transformers_loading import as_run
        from auditkit.models.transformers_text import load_transformers

        texts: tuple[str, ...] = ()
        if as_run(config.model, config.online).backend != "torch" and config.data.text is not None:
            from auditkit.sources.rows import read_texts

            texts = read_texts(table, config.data.text)
        model = load_transformers(config.model, online=config.online, store=store, texts=texts)
        return with_thresholds(model, config.model, config.data.sensitive, store)
    if config.model.callable is not None:
        from auditkit.models.python_callable import load_callable

        return load_callable(config.model)
    from auditkit.models.recorded import load_recorded

    return load_recorded(config.model, config.data, table)
