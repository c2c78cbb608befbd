"""The look: neutral grey around the pictures, one accent, system fonts, light and dark."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

_WEB = Path(__file__).parent / "web"

_GREY = colors.Color(
    name="plain", c50="#f7f7f7", c100="#efefef", c200="#e0e0e0", c300="#cccccc", c400="#a3a3a3",
    c500="#767676", c600="#5a5a5a", c700="#424242", c800="#2b2b2b", c900="#1f1f1f", c950="#171717",
)  # fmt: skip
_ACCENT = colors.Color(
    name="petrol", c50="#eef6f7", c100="#d5e9ec", c200="#aed3d9", c300="#7db8c1", c400="#4c98a4",
    c500="#1f7a88", c600="#156775", c700="#11535f", c800="#10434d", c900="#0e3840", c950="#072228",
)  # fmt: skip
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Consolas", "monospace"]


def theme() -> gr.themes.Base:
    """No web fonts: the page works without the internet."""
    base = gr.themes.Base(
        primary_hue=_ACCENT, secondary_hue=_ACCENT, neutral_hue=_GREY, font=_FONT, font_mono=_MONO,
        radius_size=sizes.radius_md, spacing_size=sizes.spacing_md, text_size=sizes.text_md,
    )  # fmt: skip
    return base.set(
        body_background_fill="#ececec",
        body_background_fill_dark="#1c1c1c",
        body_text_color="#1f1f1f",
        body_text_color_dark="#ededed",
        body_text_color_subdued="#5a5a5a",
        body_text_color_subdued_dark="#b4b4b4",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#262626",
        background_fill_secondary="#f5f5f5",
        background_fill_secondary_dark="#2e2e2e",
        border_color_primary="#cfcfcf",
        border_color_primary_dark="#484848",
        block_background_fill="#ffffff",
        block_background_fill_dark="#262626",
        block_border_width="0px",
        block_label_text_color="#3a3a3a",
        block_title_text_color="#1f1f1f",
        block_title_text_color_dark="#ededed",
        block_title_text_weight="600",
        block_info_text_color="#5a5a5a",
        block_info_text_color_dark="#b4b4b4",
        block_shadow="none",
        color_accent="#156775",
        color_accent_soft="#d5e9ec",
        color_accent_soft_dark="#10434d",
        slider_color="#156775",
        slider_color_dark="#4c98a4",
        button_primary_background_fill="#156775",
        button_primary_background_fill_hover="#11535f",
        button_primary_background_fill_dark="#1f7a88",
        button_primary_background_fill_hover_dark="#156775",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="#f0f0f0",
        button_secondary_background_fill_dark="#333333",
        button_secondary_background_fill_hover_dark="#3d3d3d",
        button_secondary_border_color="#c4c4c4",
        button_secondary_border_color_dark="#565656",
        button_border_width="1px",
        checkbox_background_color_selected="#156775",
        checkbox_background_color_selected_dark="#4c98a4",
        input_background_fill="#ffffff",
        input_background_fill_dark="#2e2e2e",
        input_border_color="#c4c4c4",
        input_border_color_dark="#565656",
    )


def css() -> str:
    """The page's style sheet."""
    return _files(("page.css",))


def head() -> str:
    """What the page's head holds: what must be there before Gradio's own scripts."""
    return f"<script>{_files(('stream.js',))}</script>"


def script(*names: str) -> str:
    """A component's JavaScript: files of `web/`, one after the other, as one function body."""
    return '"use strict";\n' + _files(names)


def style(*names: str) -> str:
    """A component's style sheet: files of `web/`; Gradio nests it under the component's own id."""
    return _files(names)


@cache
def _files(names: tuple[str, ...]) -> str:
    """Read once: Gradio makes a component anew for every answer that changes one."""
    return "\n".join((_WEB / name).read_text(encoding="utf-8") for name in names)
