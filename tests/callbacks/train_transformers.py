"""A Hugging Face Trainer on a model of a few numbers, interrupted."""

from typing import Any

import attempts
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from aexp.checkpoints.callbacks.transformers import AexpCallback


def train(run: Any, fault: attempts.Fault, trainer_class: Any = Trainer, **more: Any) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        num_labels=2,
    )
    torch.manual_seed(7)
    model = BertForSequenceClassification(config)
    words = torch.randint(0, 50, (64, 8))
    data = [{"input_ids": row, "labels": int(row[0] > 25)} for row in words]

    class Faulty(AexpCallback):
        def on_step_end(self, args, state, control, **more):
            fault.strike(state.global_step)
            return super().on_step_end(args, state, control, **more)

    arguments = TrainingArguments(
        output_dir=str(run.workspace / "trainer"),
        max_steps=attempts.STEPS,
        per_device_train_batch_size=8,
        learning_rate=5e-3,
        logging_steps=1,
        save_steps=5,
        save_total_limit=1,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        seed=7,
        **more,
    )
    callback = Faulty(run)
    trainer = trainer_class(model=model, args=arguments, train_dataset=data, callbacks=[callback])
    trainer.train(resume_from_checkpoint=callback.resume_from())
    trainer.save_model(str(run.workspace / "final"))
    if trainer.is_world_process_zero():
        run.save_checkpoint(run.workspace / "final", kind="snapshot", format="transformers")


if __name__ == "__main__":
    faults = [(8, attempts.KILL), (12, attempts.TERM)]
    attempts.story(train, [attempts.Fault(*fault) for fault in faults])
