"""Train one classifier on the 8x8 handwritten digits that scikit-learn ships.

    python train.py --config config.json --metrics metrics.json

The config is one run's state point: ``model``, its settings, ``epochs`` and ``seed``. The metrics
file gets one JSON object of numbers. Nothing in here knows about aexp: it hands over both paths
through the experiment's ``runner_command``.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

CLASSES = np.arange(10)


def build(config):
    """Return the untrained model that a config describes."""
    seed = config["seed"]
    if config["model"] == "linear":
        return SGDClassifier(loss=config["loss"], alpha=config["alpha"], random_state=seed)
    if config["model"] == "mlp":
        return MLPClassifier(
            hidden_layer_sizes=(config["hidden"],),
            solver="sgd",
            learning_rate_init=config["learning_rate"],
            random_state=seed,
        )
    raise SystemExit(f"unknown model {config['model']!r}: use linear or mlp")


def probabilities(model, images):
    """Return class probabilities: the model's own, else a softmax over its scores."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(images)
    scores = model.decision_function(images)
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", type=Path, required=True, help="JSON file of the run's settings"
    )
    parser.add_argument("--metrics", type=Path, help="where to write the results, as JSON")
    args = parser.parse_args()
    config = json.loads(args.config.read_text())

    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        images / 16, labels, test_size=0.3, stratify=labels, random_state=config["seed"]
    )
    print(f"{config['model']} seed {config['seed']}: {len(train_y)} training images", flush=True)

    model = build(config)
    for epoch in range(1, config["epochs"] + 1):
        model.partial_fit(train_x, train_y, classes=CLASSES)
        loss = log_loss(test_y, probabilities(model, test_x), labels=CLASSES)
        accuracy = model.score(test_x, test_y)
        print(f"epoch {epoch:2d}  loss {loss:8.4f}  accuracy {accuracy:.4f}", flush=True)
        if not math.isfinite(loss):
            raise SystemExit(f"diverged: loss is {loss} after epoch {epoch}")

    if args.metrics:
        results = {
            "accuracy": float(accuracy),
            "loss": float(loss),
            "train_accuracy": float(model.score(train_x, train_y)),
            "n_train": len(train_y),
            "n_test": len(test_y),
        }
        args.metrics.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
