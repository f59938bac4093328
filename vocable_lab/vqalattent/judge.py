"""Former place of the recipe ``vqalattent-classifier``, for entry points of an earlier installation."""

from vocable_lab.vqalattent.classifier import classifier

__all__ = ["classifier"]
