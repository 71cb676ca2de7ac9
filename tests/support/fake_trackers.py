"""Stand-ins for wandb and mlflow, which write down what they are called with."""

import importlib.machinery
import sys
import types

import keras


def module(name, **contents):
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(made).update(contents)
    return made


class Wandb:
    """One run after another: `settings` of each, what it `logged`, its `summary`, and `codes`."""

    def __init__(self, error=None):
        self.settings, self.logged, self.summary, self.codes = [], [], {}, []
        self._error = error
        self.id = None

    def init(self, **settings):
        if self._error:
            raise self._error
        self.settings.append(settings)
        self.id = settings["id"] or "made-up"
        return self

    def define_metric(self, name, step_metric):
        assert (name, step_metric) == ("*", "env_steps")

    def log(self, metrics):
        self.logged.append(metrics)

    def finish(self, exit_code):
        self.codes.append(exit_code)

    def install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "wandb", module("wandb", init=self.init))
        return self


class Mlflow:
    """One run after another: what it was `started` with, and all that followed."""

    def __init__(self):
        self.started, self.params, self.artifacts = [], [], {}
        self.logged, self.scores, self.ends = [], [], []

    def start_run(self, **arguments):
        self.started.append(arguments)
        info = types.SimpleNamespace(run_id=arguments.get("run_id", "made-up"))
        return types.SimpleNamespace(info=info)

    def install(self, monkeypatch):
        fake = self

        class MlflowCallback(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                fake.logged.append(dict(logs))

        of_keras = module("mlflow.keras", MlflowCallback=MlflowCallback)
        package = module(
            "mlflow",
            keras=of_keras,
            start_run=self.start_run,
            log_params=self.params.append,
            log_dict=lambda contents, name: self.artifacts.update({name: contents}),
            log_metrics=self.scores.append,
            end_run=self.ends.append,
        )
        monkeypatch.setitem(sys.modules, "mlflow", package)
        monkeypatch.setitem(sys.modules, "mlflow.keras", of_keras)
        return self
