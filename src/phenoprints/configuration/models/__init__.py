"""Typed settings: the only place where a setting, its default and its sentence are written."""
