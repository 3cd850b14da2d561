"""Retraining on the Hugging Face Trainer, shared by all remedies."""

from auditkit.training.choice import Candidate, choose
from auditkit.training.fine_tune import TrainingReport, Workshop
from auditkit.training.repair import Order, Repaired, Told, decisions_of, repair
from auditkit.training.rows import RemedyRows, remedy_rows, require

__all__ = [
    "Candidate",
    "Order",
    "RemedyRows",
    "Repaired",
    "Told",
    "TrainingReport",
    "Workshop",
    "choose",
    "decisions_of",
    "remedy_rows",
    "repair",
    "require",
]
