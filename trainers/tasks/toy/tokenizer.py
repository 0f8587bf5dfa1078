"""The toy world's tokenizer: word pieces that are its stems, affixes, name syllables and letters.

Nothing is trained, so it is the same everywhere and ready at once. Sequences look like XLM-R's:
``<s> a </s>`` and ``<s> a </s></s> b </s>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks.toy.languages import LANGUAGES
from trainers.tasks.toy.lexicon import lexicon
from trainers.tasks.toy.world import make_world

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_CONTINUES = "##"


def pieces() -> tuple[str, ...]:
    """The vocabulary, special tokens first, in a fixed order."""
    world = make_world()
    syllables = [s for thing in (*world.people, *world.places) for word in thing.name for s in word]
    starts, inner = [".", "?"], []
    for code, language in LANGUAGES.items():
        letters = sorted({language.write(letter) for letter in "abdefghijklmnoprstuvz"})
        starts += [*letters, *(language.write(s) for s in syllables)]
        starts += [stem for stems in lexicon(code).stems.values() for stem in stems]
        affixes = (language.plural, language.accusative, language.past, language.future)
        inner += [*letters, *(language.write(a) for a in (*affixes, *syllables) if a)]
        inner += [language.write(language.plural + language.accusative)]
    return tuple(dict.fromkeys((*SPECIAL, *starts, *(_CONTINUES + piece for piece in inner))))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A fresh tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from tokenizers import decoders as piece_decoders
    from transformers import PreTrainedTokenizerFast

    ids = {piece: i for i, piece in enumerate(pieces())}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="<unk>", continuing_subword_prefix=_CONTINUES))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = piece_decoders.WordPiece(prefix=_CONTINUES)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
        model_max_length=64, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
