"""Train a language model of transformers on a token corpus, beside n-grams: language_model.py FOLDER STEPS."""

import sys
from math import log

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from vocable.corpus.sequence_layout import Document, SequenceLayout
from vocable.corpus.sequences import PackedSequences
from vocable.corpus.token_corpus import TokenCorpus
from vocable.metrics.ngram import ngram_bits

corpus, steps = TokenCorpus.open(sys.argv[1]), int(sys.argv[2])
layout = SequenceLayout.of(corpus.spec, levels=1)
train = PackedSequences(corpus, layout, 256, select=lambda row: row.split == "train")
torch.manual_seed(0)
sizes = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
model = LlamaForCausalLM(LlamaConfig(vocab_size=layout.vocabulary_size, attention_dropout=0.1, **sizes))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95))
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
for step in range(steps):
    epoch, place = divmod(16 * step, len(train) - 16)  # a batch is a function of its step, so a run can resume at any
    sequences = train if epoch == train.epoch else (train := train.with_epoch(epoch))
    ids = torch.stack([sequences[place + row]["input_ids"] for row in range(16)])
    loss = model(input_ids=ids, labels=ids).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    print(f"step {step}: {loss.item() / log(2):.3f} bits a token", flush=True)
known = {row.speaker for row in corpus.rows() if row.split == "train"}
parts = (lambda row: row.split == "train"), (lambda row: row.split == "test" and row.speaker not in known)
rows = [[corpus.ids(n)[0] for n, row in enumerate(corpus.rows()) if is_part(row)] for is_part in parts]
nats, count = 0.0, sum(map(len, rows[1]))
for ids in (torch.from_numpy(layout.encode(Document(row[None]))[0]) for row in rows[1]):  # each recording alone
    for part in (ids[start : start + 256] for start in range(0, len(ids) - 2, 255)):  # without EOS
        with torch.inference_mode():
            logits, following = model.eval()(input_ids=part[None]).logits[0, :-1], part[1:]
        is_code = following >= layout.code_offset
        nats += torch.nn.functional.cross_entropy(logits[is_code], following[is_code], reduction="sum").item()
for order in (1, 2, 3):
    print(f"{order}-gram: {sum(map(sum, ngram_bits(*rows, layout.codebook_size, order))) / count:.3f} bits a token")
print(f"transformer: {nats / log(2) / count:.3f} bits a token; {count} tokens of {len(rows[1])} recordings")
