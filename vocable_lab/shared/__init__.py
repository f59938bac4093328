"""Parts of the laboratory that several papers share: phones, voices, protocols for any tokenizer."""
