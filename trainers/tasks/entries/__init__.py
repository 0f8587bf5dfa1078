"""The real tasks, one literal each, in a file per kind."""
