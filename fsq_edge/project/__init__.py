"""The project folder that ``fsq-edge init`` writes: commented files, from which ``train`` to ``run`` work."""

from fsq_edge.project.project import write_project

__all__ = ["write_project"]
