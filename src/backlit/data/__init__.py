"""The data room: training data as people have it, checked once. What other rooms may import stands here."""

from .dataset import Dataset as Dataset
from .dataset import rows_in_share as rows_in_share
from .importing import import_tables as import_tables
from .importing import stored_preparation as stored_preparation
from .named import KnownDataset as KnownDataset
from .named import known_datasets as known_datasets
from .preparation import Preparation as Preparation
from .readers import load_dataset as load_dataset
from .readers import load_inputs as load_inputs
from .readers import load_prepared as load_prepared
from .readers import parts_of as parts_of
