"""The recipe that made `checkpoints/lite`: closed-form start, reconstruction, stylisation.

Run `python -m scsa_core.training --help`. It needs a folder of photographs, a folder of
paintings and the VGG-16 weights; it does not need a GPU.
"""
