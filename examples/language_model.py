"""Train a causal language model of transformers on a token corpus, and compare it with n-grams on unseen speakers.

python examples/language_model.py tokens/ 600      # folder of token shards with splits train and test; steps
"""

import sys
from math import log

import torch
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM

from vocable.corpus.sequence_layout import SequenceLayout
from vocable.corpus.sequences import PackedSequences
from vocable.corpus.token_corpus import TokenCorpus
from vocable.metrics.ngram import ngram_bits

corpus, steps = TokenCorpus.open(sys.argv[1]), int(sys.argv[2])
layout = SequenceLayout.of(corpus.spec, levels=1)
known = {row.speaker for row in corpus.rows() if row.split == "train"}
parts = [lambda row: row.split == "train", lambda row: row.split == "test" and row.speaker not in known]
train = PackedSequences(corpus, layout, 256, select=parts[0])
test = PackedSequences(corpus, layout, 256, select=parts[1], shuffle=False, drop_last=False)
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
    if step % 50 == 0:
        print(f"step {step}: {loss.item() / log(2):.3f} bits a token", flush=True)
nats, count = 0.0, 0
for batch in DataLoader(test, batch_size=16):
    with torch.inference_mode():
        logits = model.eval()(input_ids=batch["input_ids"]).logits[:, :-1]
    following = batch["labels"][:, 1:]
    is_code = following >= layout.code_offset  # the n-grams predict no BOS and EOS
    nats += torch.nn.functional.cross_entropy(logits[is_code], following[is_code], reduction="sum").item()
    count += int(is_code.sum())
rows = [[corpus.ids(n)[0] for n, row in enumerate(corpus.rows()) if is_part(row)] for is_part in parts]
for order in (1, 2, 3):
    scored = ngram_bits(*rows, corpus.spec.codebook_size, order)
    print(f"{order}-gram: {sum(map(sum, scored)) / sum(map(len, scored)):.3f} bits a token")
print(f"transformer: {nats / log(2) / count:.3f} bits a token; {count} tokens of {len(rows[1])} recordings")
