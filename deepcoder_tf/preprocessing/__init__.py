"""From crops to model inputs, inside the graph: the same pure functions train and are exported."""

__all__: list[str] = []
