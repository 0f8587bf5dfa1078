"""Canonical examples: the columns every family reads, whatever the data set called them.

By family:

    pair       id, first, second (may be ""), label
    choice     id, context, question (either may be ""), choices, label
    spans      id, context, question, answers (texts, [] = unanswerable), starts (character offsets)
    tokens     id, tokens, tags (label ids)
    retrieval  id, query (the foreign sentence's English translation), document (foreign sentence)
    masked     id, text
"""

from __future__ import annotations

from trainers.tasks.spec import FamilyName

CANONICAL: dict[FamilyName, tuple[str, ...]] = {
    FamilyName.PAIR: ("id", "first", "second", "label"),
    FamilyName.CHOICE: ("id", "context", "question", "choices", "label"),
    FamilyName.SPANS: ("id", "context", "question", "answers", "starts"),
    FamilyName.TOKENS: ("id", "tokens", "tags"),
    FamilyName.RETRIEVAL: ("id", "query", "document"),
    FamilyName.MASKED: ("id", "text"),
}
