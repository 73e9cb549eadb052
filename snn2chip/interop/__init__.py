"""Node maps with which other libraries run our NIR files exactly.

Each module needs its library and is imported by name:

* ``snn2chip.interop.nirtorch`` - NIRTorch and plain torch
* ``snn2chip.interop.norse`` - norse
"""
