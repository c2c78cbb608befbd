"""Render the examples' stored results with the weights that are here: `python -m demo.render_examples [NAME ...]`.

Run it after the shipped weights or an example's maps change; the page opens on these files.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from scsa_core import Engine, RenderRequest, __version__, load_image
from scsa_core.recipe import Recipe, embed

from .gallery import Example, load_examples
from .settings import Settings


def render(engine: Engine, example: Example) -> None:
    """Write result.png and baseline.png into the example's folder, each with its recipe."""
    content, style = load_image(example.content), load_image(example.style)
    knobs = engine.defaults(example.backbone).replace(**example.knobs)
    request = RenderRequest(
        content, style, example.content_map, example.style_map, example.links or None, example.backbone, example.method, knobs
    )
    for name, one in (("result", request), ("baseline", replace(request, method="baseline"))):
        result = engine.render(one)
        recipe = replace(Recipe.of(result, __version__), seconds=0.0)  # the same file every time
        (example.content.parent / f"{name}.png").write_bytes(embed(result.image, recipe))


def main() -> None:
    wanted = set(sys.argv[1:])
    engine = Engine()
    for example in load_examples(Settings().examples):
        if not wanted or example.name in wanted:
            render(engine, example)
            print(example.name, flush=True)


if __name__ == "__main__":
    main()
