"""How well networks find nuclei, for the scripts that compare ways to train them (numpy 2.3.4, pillow 13.0.0).

A study is a folder RUN: data/ with the source `noisy` in its latest version and the reference `corrected`, and
runs/METHOD-SEED. Objects are matched at an intersection over union above 0.5, where there is no choice; counts of images
are summed. Intervals resample fields of view, of all methods and seeds together.
"""

import csv

import numpy as np
from PIL import Image

UNLABELLED = 65535
REPLICATES = 2000
MEASURES = ["F1", "recall", "precision", "Dice"]


def mask(path):
    pixels = np.asarray(Image.open(path)).astype(np.int64)
    return np.where(pixels == UNLABELLED, 0, pixels)


def masks(folder, source=None):
    """The file of each image's mask."""
    with (folder / "masks.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        return {row["item"]: folder / row["file"] for row in rows if source in (None, row["source"])}


def counts(truth, found):
    """True objects, found ones, and pairs of them that overlap by more than a half; true pixels, found ones, and both."""
    wide = int(found.max()) + 1
    pairs, areas = np.unique(truth * wide + found, return_counts=True)
    area = [dict(zip(*np.unique(of, return_counts=True))) for of in (truth, found)]
    matched = 0
    for pair, both in zip(pairs, areas):
        one, other = divmod(int(pair), wide)
        if one and other:
            matched += both / (area[0][one] + area[1][other] - both) > 0.5
    pixels = [(truth > 0).sum(), (found > 0).sum(), ((truth > 0) & (found > 0)).sum()]
    return np.array([len(area[0].keys() - {0}), len(area[1].keys() - {0}), matched, *pixels])


def quality(sums):
    """Of each measure."""
    truth, found, matched, true_pixels, found_pixels, both = sums
    return np.array(
        [2 * matched / (truth + found), matched / truth, matched / max(found, 1), 2 * both / (true_pixels + found_pixels)]
    )


class Study:
    def __init__(self, run, methods, command):
        """`methods` has the seeds of each, the first of which all others are compared with."""
        self.run, self.methods, self.command = run, methods, command
        data = run / "data"
        with (data / "images.csv").open(newline="") as file:
            images = {row["id"]: row for row in csv.DictReader(file)}
        self.reference = {image: mask(path) for image, path in masks(data / "reference/corrected").items()}
        latest = sorted((data / "labels").iterdir(), key=lambda folder: int(folder.name[1:]))
        noisy = next(folder for folder in reversed(latest) if masks(folder, "noisy"))
        self.given = masks(noisy, "noisy")
        self.test = [image for image, row in images.items() if row["split"] == "test"]
        self.train = [image for image, row in images.items() if row["split"] == "train"]
        self.fields = sorted({images[image]["group"] for image in self.test})
        of_field = np.array([self.fields.index(images[image]["group"]) for image in self.test])
        self.predicted = {method: [self._predicted(method, seed) for seed in seeds] for method, seeds in methods.items()}
        random = np.random.default_rng(0)
        many = len(self.fields)
        drawn = [np.bincount(random.integers(many, size=many), minlength=many)[of_field] for _ in range(REPLICATES)]
        self.resampled = {method: np.array([self.mean(method, weights) for weights in drawn]) for method in methods}
        self.claims = []

    def _predicted(self, method, seed):
        files = masks(self.run / f"runs/{method}-{seed}/predictions")
        return np.array([counts(self.reference[image], mask(files[image])) for image in self.test])

    def mean(self, method, weights=None):
        """Each measure, the mean of all seeds."""
        weights = np.ones(len(self.test)) if weights is None else weights
        return np.mean([quality(weights @ run) for run in self.predicted[method]], axis=0)

    def claim(self, text, value, replicates):
        low, high = np.percentile(replicates, [2.5, 97.5])
        self.claims.append(
            {
                "claim": f"{text}, he-nuclei, {len(self.test)} images of {len(self.fields)} fields",
                "value": float(value),
                "low": float(low),
                "high": float(high),
                "unit": "share",
                "n": len(self.test),
                "command": self.command,
            }
        )
        return low, high

    def rows(self, measures, gains):
        """A row of a table for each method: measures, and after those of `gains` the gain over the first method."""
        first = next(iter(self.methods))
        rows = []
        for method in self.methods:
            cells = []
            for measure in measures:
                place = MEASURES.index(measure)
                name = measure if measure == "Dice" else f"{measure} at IoU 0.5"
                value, replicates = self.mean(method)[place], self.resampled[method][:, place]
                low, high = self.claim(f"{name}, {method}", value, replicates)
                cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
                if measure in gains:
                    cells.append("")
                    if method != first:
                        difference = value - self.mean(first)[place]
                        replicates = replicates - self.resampled[first][:, place]
                        low, high = self.claim(f"gain in {name}, {method} over {first}", difference, replicates)
                        cells[-1] = f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
            rows.append(f"| {method} | {' | '.join(cells)} |")
        return rows

    def labels(self, files):
        """The counts of the masks of the images to learn from."""
        return sum(counts(self.reference[image], mask(files[image])) for image in self.train)
