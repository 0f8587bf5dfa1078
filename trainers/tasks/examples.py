"""Canonical examples: the columns every family reads, whatever the data set called them.

By family:

    pair       id, first, second (may be ""), label
    choice     id, context, question (either may be ""), choices, label
    spans      id, context, question, answers (texts, [] = unanswerable), starts (character offsets)
    tokens     id, tokens, tags (label ids)
    retrieval  id, query (the foreign sentence's English translation), document (foreign sentence)
    ranking    id, text, context (of the text, may be ""), side, keys, part, scored
    mining     the same; no contexts
    masked     id, text

In ranking and mining a row is one text. ``side`` is QUERY or DOCUMENT (in mining: a foreign sentence,
an English one). A query is answered by every document that shares one of its ``keys``. Rows that are
only looked through (documents, other languages) have ``scored`` false. Rows of one ``part`` make one
problem; mining tunes the threshold of a part on the rows of the other parts.
"""

from __future__ import annotations

from trainers.tasks.spec import FamilyName

QUERY, DOCUMENT = 0, 1

CANONICAL: dict[FamilyName, tuple[str, ...]] = {
    FamilyName.PAIR: ("id", "first", "second", "label"),
    FamilyName.CHOICE: ("id", "context", "question", "choices", "label"),
    FamilyName.SPANS: ("id", "context", "question", "answers", "starts"),
    FamilyName.TOKENS: ("id", "tokens", "tags"),
    FamilyName.RETRIEVAL: ("id", "query", "document"),
    FamilyName.RANKING: ("id", "text", "context", "side", "keys", "part", "scored"),
    FamilyName.MINING: ("id", "text", "context", "side", "keys", "part", "scored"),
    FamilyName.MASKED: ("id", "text"),
}
