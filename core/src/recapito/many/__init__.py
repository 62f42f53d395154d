"""Many messages of one operator, one after the other on a few sessions, with a receipt for each."""

from recapito.many.batch import AsyncBatch, Batch
from recapito.many.progress import Progress

__all__ = ["AsyncBatch", "Batch", "Progress"]
