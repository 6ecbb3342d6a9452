"""Says before the compiler runs whether it will take a network, which node stops it, and where to cut.

``check`` loads any ONNX file, normalises it (``normalise``), applies the rule table (``rulebook``, ``judge``,
``families``, ``patterns``), chooses the device part (``cut``) and returns a ``CheckReport`` of findings.
"""
