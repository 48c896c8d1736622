"""Labelled data sets: readers of their layouts, subject folds, preparation, and prepared folders.

`sources` says what the readers return, `prepare` turns it into a prepared folder, `prepared` and
`records` read such a folder.
"""

__all__: list[str] = []
