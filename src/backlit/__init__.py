"""backlit: back-propagation, lit up. The front door: one table, public name -> room, loaded on first use."""

from importlib import import_module

_ROOMS = {
    "BadInput": "errors",
    "EngineUnavailable": "errors",
    "Diverged": "errors",
    "Network": "network",
    "SGD": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "StepDecay": "optimizers",
    "Exponential": "optimizers",
    "Cosine": "optimizers",
    "OneCycle": "optimizers",
    "WarmUp": "optimizers",
    "State": "state",
    "initial_state": "state",
    "state_from": "state",
    "save": "model_file",
    "load": "model_file",
    "load_preparation": "model_file",
    "Dataset": "data",
    "load_dataset": "data",
    "Preparation": "data",
    "step": "chain",
    "Trace": "trace",
    "open_engine": "engines",
    "available_engines": "engines",
    "train": "training",
    "Progress": "progress",
    "predict": "evaluation",
    "evaluate": "evaluation",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "to_onnx": "export",
    "to_torch": "export",
    "from_sklearn": "export",
    "from_torch": "export",
    "explain": "explanations",
    "explorer": "explanations",
    "fit": "observers",
    "EarlyStopping": "observers",
    "History": "observers",
    "Checkpoints": "observers",
    "CSVLog": "observers",
    "JSONLog": "observers",
    "TensorBoardLog": "observers",
    "advise_batch_size": "advice",
    "range_test": "advice",
    "example_report": "advice",
    "check_gradients": "checks",
    "check_function": "checks",
    "diagnose": "checks",
    "Diagnosis": "checks",
    "audit": "checks",
}

__all__ = [*_ROOMS, "__version__"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("backlit")
    if name not in _ROOMS:
        raise AttributeError(f"module 'backlit' has no attribute {name!r}")
    value = getattr(import_module(f".{_ROOMS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
