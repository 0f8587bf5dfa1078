"""The real tasks, one literal each, in a file per kind.

To add a task, add a literal to the list of its kind; the tests walk the lists. Languages are data: a
task with forty languages is still one literal.

A column of the data is a name, a field of a struct (``answers.text``), several columns that make one
list (``answer0 answer1``), or alternatives of which the split has one (``sentence1|premise``: XNLI
trains on MNLI).

Where a split serves both the search and the report, each example belongs to one half by the hash
of its id (``trainers/tasks/canonical.py``). That is so for most targets: XTREME's test splits are
not public everywhere or miss languages, and one literal has to serve both the hub and a mirror.
"""
