"""The web page: Gradio only. Imports scsa_core; never the other way round."""

from .stubs import write_none

write_none()
