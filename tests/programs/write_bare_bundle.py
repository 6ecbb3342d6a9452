"""Write a small bundle and recordings for the device-only install: ``write_bare_bundle FOLDER``."""

import sys
from pathlib import Path

import numpy as np

from tests.factories.bundles import motion, random_bundle

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
bundle = random_bundle()
bundle.save(folder / "random.fsqb")
samples = motion(1000)
np.savez(folder / "motion.npz", samples=samples)
header = ",".join(channel.name for channel in bundle.preprocess.channels)
np.savetxt(folder / "motion.csv", samples, delimiter=",", header=header, comments="", fmt="%.9g")
