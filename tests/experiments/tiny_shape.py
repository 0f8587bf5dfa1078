"""An encoder so small that a benchmark of training takes seconds."""

from experiments.benchmarks.shapes import Shape

TINY = Shape(
    "mini",
    {
        "vocab_size": 200,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 400,
        "type_vocab_size": 1,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    batch_tokens=1024,
    learning_rate=1e-3,
)
