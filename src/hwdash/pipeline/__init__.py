"""The submission workflow: one file a step, named as currentStep, and the engine and child process they run in."""
