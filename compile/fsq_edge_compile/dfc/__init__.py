"""Hailo's Dataflow Compiler (DFC), driven out of process: its pins cannot share an environment with this project.

`plan.write_plan` writes a folder with all that an x86-64 machine with the DFC needs; `driver.run_plan` runs it in
another interpreter or in a container. What the DFC is asked for is in `model_script` and in `plan_compile.py`, which is
copied into every plan and imports nothing of ours. No real DFC was available while this was written: it is tested
against a stand-in with the documented calls, texts and errors.
"""
