"""What our own components share: an empty root that a script of `web/` fills, its style sheet, and its words by key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any, ClassVar, Literal

import gradio as gr
from gradio.data_classes import GradioModel

from .text import packed
from .theme import script, style


def data_of(event: gr.EventData) -> Mapping[str, Any]:
    """What the browser says of an event. Gradio does not check it, so anything but an object counts as nothing."""
    return event._data if isinstance(event._data, Mapping) else {}


class WebComponent(gr.HTML):
    """A `gr.HTML` whose looks and life are in `web/`. Other keyword arguments become props of its script.

    sheet: name of its .css and .js. root: class of the element that the script fills. shared: scripts that its own needs.
    """

    sheet: ClassVar[str]
    root: ClassVar[str]
    shared: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        value: Any = None,
        *,
        texts: Mapping[str, str] | str,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        label: str | None = None,
        visible: bool | Literal["hidden"] = True,
        render: bool = True,
        **props: Any,
    ) -> None:
        super().__init__(
            value=value,
            label=label,
            html_template=f'<div class="{self.root}"></div>',
            css_template=self.style_sheet(),
            js_on_load=self.program(),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            render=render,
            texts=packed(texts),
            **props,
        )

    def get_config(self) -> dict[str, Any]:  # type: ignore[override]
        """Without what is no value: an argument of ours is taken for the event of that name, with all of this component in it.

        Gradio copies the configuration for every visitor, and that one took most of a second.
        """
        return {name: value for name, value in super().get_config().items() if not isinstance(value, partial)}

    @classmethod
    def style_sheet(cls) -> str:
        return style(f"{cls.sheet}.css")

    @classmethod
    def program(cls) -> str:
        """The JavaScript that runs once the component is there."""
        return script("texts.js", *cls.shared, f"{cls.sheet}.js")


class ModelComponent(WebComponent):
    """One whose value is a `GradioModel`, so that Gradio checks the paths in it. By default it is only shown: nothing comes back."""

    def preprocess(self, payload: Any) -> Any:
        return None

    def postprocess(self, value: Any) -> Any:
        """The model, or a dict of its fields, or None for an empty one."""
        model = self._model()
        return value if isinstance(value, model) else model.model_validate(value or {})

    def api_info(self) -> dict[str, Any]:
        return _schema(self._model())

    def example_payload(self) -> Any:
        return {}

    def example_value(self) -> Any:
        return {}

    def _model(self) -> type[GradioModel]:
        assert self.data_model is not None and issubclass(self.data_model, GradioModel)
        return self.data_model


@cache
def _schema(model: type[GradioModel]) -> dict[str, Any]:
    """As Gradio describes a model. It asks for each component a dozen times before the page is up."""
    schema = model.model_json_schema()
    schema["additional_description"] = schema.pop("description", None)
    return schema
