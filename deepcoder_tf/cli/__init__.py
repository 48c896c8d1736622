"""The console scripts: absl flags in, one frozen dataclass, one call into `experiment`."""

__all__: list[str] = []
