"""volstrat: tumour volumes, FDG-avid fractions and strata from segmentation masks.

Importing the package does nothing but name its version; every heavy library is
imported by the command or function that needs it.
"""

__version__ = "0.1.0"
