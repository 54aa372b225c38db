"""python3 -m unittest discover -s images/tests -t images"""

import os
import sys

IMAGES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [IMAGES, *(os.path.join(IMAGES, tree, "usr/lib/nines") for tree in ("files", "cloud-init"))]
