"""int8 calibration sets: selection and audit."""
