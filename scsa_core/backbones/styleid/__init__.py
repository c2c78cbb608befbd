"""`styleid`, the diffusion family: inversion, injection and painting, one module each. diffusers is imported on loading only."""

from scsa_core.backbones.styleid.loading import FILES, probe
from scsa_core.backbones.styleid.model import INFO, StyleID

__all__ = ["FILES", "INFO", "StyleID", "probe"]
