"""Pictures of expressions: readers of their layouts, preparation, and the prepared store.

`sources` says what the readers return, `catalogue` finds the reader, `prepare` turns pictures into
a prepared folder, `store` reads such a folder.
"""

__all__: list[str] = []
