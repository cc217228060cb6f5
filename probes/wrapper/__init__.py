"""Chat template, tokenizer and generation settings: files that change what the model reads and how it speaks."""
