"""A Lightning training whose data knows its position, interrupted."""

import logging
import warnings
from typing import Any

import attempts
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from aexp.checkpoints.callbacks.lightning import AexpCallback, AexpCheckpointIO


class Loader:
    """Batches in an order of each epoch; it goes on where it was, as StatefulDataLoader does."""

    def __init__(self):
        self.epoch = self.position = 0

    def __len__(self):
        return 10

    def __iter__(self):
        order = torch.randperm(10, generator=torch.Generator().manual_seed(self.epoch)).tolist()
        for number in order[self.position :]:
            self.position += 1
            if self.position == 10:  # Lightning asks for no more than it was told
                self.epoch, self.position = self.epoch + 1, 0
            yield torch.randn(4, 8, generator=torch.Generator().manual_seed(number))

    def state_dict(self):
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state):
        self.epoch, self.position = state["epoch"], state["position"]


class Model(pl.LightningModule):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.layers = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Dropout(0.3))
        self.head = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = ((self.head(self.layers(batch)).squeeze() - batch.sum(1)) ** 2).mean()
        self.log("loss", loss)
        if self.fault.step != 17:
            self.fault.strike(self.global_step + 1)
        return loss

    def on_train_batch_end(self, *_):
        if self.fault.step == 17:  # Lightning itself ends here, after the callbacks
            self.fault.strike(self.global_step)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.7)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def train(run: Any, fault: attempts.Fault) -> None:
    torch.set_num_threads(1)
    pl.seed_everything(7, verbose=False)
    callback = AexpCallback(run, every=5)
    trainer = pl.Trainer(
        max_steps=attempts.STEPS,
        accelerator="cpu",
        devices=1,
        logger=False,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run.workspace,
        callbacks=[callback, ModelCheckpoint(every_n_train_steps=7, save_top_k=-1)],
        plugins=[AexpCheckpointIO(run)],
    )
    trainer.fit(Model(fault), Loader(), ckpt_path=callback.resume_from())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    faults = [(8, attempts.KILL), (13, attempts.TERM), (17, attempts.TERM)]
    attempts.story(train, [attempts.Fault(*fault) for fault in faults])
