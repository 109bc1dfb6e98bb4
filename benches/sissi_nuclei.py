"""Writes results/sissi-nuclei.md and results/sissi-nuclei.json: networks for masks of nuclei that correct what they
learn from, against one that does not (numpy 2.3.4, pillow 13.0.0).

    python benches/sissi_nuclei.py NAME RUN --reference NAME --minutes N < MEANING.md

RUN is a study of nuclei_masks.py.
"""

import datetime
import sys

import numpy as np
from nuclei_masks import Study, asked, quality

study = Study(asked(__doc__))
bench = study.bench
rows = study.rows(["F1", "Dice", "AJI", "recall", "precision"], gains=["F1", "Dice", "AJI"])
before = study.labels(study.given)
labels = [f"| given | | {before[1]} | " + " | ".join(f"{value:.3f}" for value in quality(before)[:3]) + " |"]
for method in study.methods[1:]:
    of_seeds = [study.corrected(method, seed) for seed in study.seeds]
    for epoch in (min(of_seeds[0]), max(of_seeds[0])):
        sums = np.mean([of[epoch] for of in of_seeds], axis=0)
        means = np.mean([quality(of[epoch])[:3] for of in of_seeds], axis=0)
        labels.append(f"| {method} | {epoch} | {sums[1]:.0f} | " + " | ".join(f"{value:.3f}" for value in means) + " |")

report = f"""# Masks of nuclei that are corrected by the network that learns from them

`just sissi-nuclei`, {datetime.date.today()}; {len(study.given)} images of he-nuclei to learn from and {bench["images"]} of {bench["cases"]} other
fields for test; of the {before[0]} true nuclei to learn from two fifths are not marked, and a fifth of those marked as many
false ones (`inject drop`, then `inject add`, at dark places without a nucleus). {bench['seeds']} seeds; a small
U-Net, 80 epochs ([recipe](../benches/sissi-nuclei.toml)); masks are corrected after epoch 40 and every tenth from then on,
by four views. `sissi`: all that was not found is background; `+strong`: it is blurred away; `+ignored` (the default): what is
an object with a probability of .3 to .5 is left open, but for what touches an object; `+completed`: the given objects stay. {study.machine}, {study.asked.minutes:.0f} minutes for all trainings,
two at a time.

Predictions of the images for test, which nobody corrected; objects match at an intersection over union above 0.5; means
over seeds, 95 % intervals over fields (of {bench["cases"]} fields only, so they are rough):

| method | F1 | gain | Dice | gain | AJI | gain | recall | precision |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

The labels that are learned from, against the true ones; means over seeds:

| method | after epoch | objects | F1 | recall | precision |
|---|---:|---:|---:|---:|---:|
{chr(10).join(labels)}

{sys.stdin.read().strip()}
"""
study.write(report)
