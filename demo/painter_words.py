"""Words of what stands beside the painter, links, selection and what is kept: key -> (English, Chinese)."""

from __future__ import annotations

HELPER_WORDS: dict[str, tuple[str, str]] = {
    # links
    "links": ("Links", "关联"),
    "links_hint": (
        "Each region of the content is painted from what stands beside it.",
        "内容中的每个区域取自右侧所列的风格区域。",
    ),
    "links_count": ("{n} changed", "已更改 {n} 项"),
    "links_whole": ("Whole style", "整张风格图片"),
    "links_as_it_is": ("Leave as it is", "保持原样"),
    "links_fallback": (
        "Nothing in the style carries this region's number: the whole picture feeds it.",
        "风格中没有对应的区域：将使用整张风格图片。",
    ),
    "links_spare": ("Not used from the style: {names}.", "风格中未使用：{names}。"),
    "links_suggest": ("Suggest links", "建议关联"),
    "links_suggest_hint": (
        "Compare the regions' looks and places and propose what belongs together",
        "比较各区域的外观和位置，建议相互对应的区域",
    ),
    "links_reset": ("Same to same", "同名对应"),
    "links_reset_hint": ("Every region is painted from the region of the same name again", "每个区域重新取自同名区域"),
    "links_use": ("Use", "采用"),
    "links_use_label": ("Use the suggestion for {name}: {targets}", "为{name}采用建议：{targets}"),
    "links_cell_label": ("{name} is painted from: {targets}. Change", "{name}取自：{targets}。更改"),
    "links_choices": ("What {name} is painted from", "{name}取自何处"),
    "links_only_label": ("Paint {name} from {target}", "让{name}取自{target}"),
    "links_also_label": ("Paint {name} from {target} as well", "让{name}同时取自{target}"),
    "links_without_label": ("Paint {name} without {target}", "让{name}不再取自{target}"),
    "said_suggested": ("{n} links suggested", "建议了 {n} 项关联"),
    "said_nothing_suggested": ("The links are as they would be suggested", "现有关联与建议一致"),
    # selection
    "select": ("Select", "选取"),
    "select_tools": ("Selection", "选取"),
    "select_add": ("Add", "添加"),
    "select_add_hint": ("Clicks add to the selection (a right click removes)", "点击为添加（右键点击为移除）"),
    "select_remove": ("Remove", "移除"),
    "select_remove_hint": ("Clicks remove from the selection", "点击为移除"),
    "select_keep": ("Keep", "保留"),
    "select_keep_hint": ("The selection becomes part of {name}", "所选部分归入“{name}”"),
    "select_drop": ("Drop", "放弃"),
    "select_drop_hint": ("Forget the selection", "放弃所选部分"),
    "select_larger": ("Larger", "更大"),
    "select_smaller": ("Smaller", "更小"),
    "select_by_sam": ("Segment Anything: click, or drag a box", "Segment Anything：点击，或拖出方框"),
    "select_by_areas": (
        "Areas of the built-in segmenter: click, click again for a larger one",
        "内置分割的区域：点击，再次点击可扩大",
    ),
    "select_get": ("Get Segment Anything", "获取 Segment Anything"),
    "select_get_hint": (
        "{size} MB, {licence}. The Models tab fetches it; until then the built-in areas serve.",
        "{size} MB，{licence}。可在“模型”页获取；在此之前使用内置区域。",
    ),
    "select_reading": ("Reading the picture … {percent} %", "正在读取图片 … {percent} %"),
    "select_waiting": ("Reading the picture …", "正在读取图片 …"),
    "select_failed": (
        "This picture cannot be selected from now. Your maps are kept; choose the tool again.",
        "暂时无法在此图片上选取。区域图已保留，请重新选择工具。",
    ),
    "said_select": (
        "Selection: {percent} % of the picture. Enter keeps it, Esc drops it.",
        "已选取图片的 {percent} %。Enter 保留，Esc 放弃。",
    ),
    "said_select_dropped": ("Selection dropped", "已放弃所选部分"),
    "said_select_empty": ("Nothing is selected", "没有选取任何内容"),
    "step_select": ("selection", "选取"),
    # what the browser keeps
    "kept_restored": ("Restored your last session.", "已恢复上次的工作。"),
    "kept_fresh": ("Start fresh", "重新开始"),
    "kept_offer": ("Your last session is kept in this browser.", "此浏览器中保留着您上次的工作。"),
    "kept_bring_back": ("Bring it back", "恢复"),
    "kept_full": (
        "This browser has no room to keep your work. Save your maps as files.",
        "此浏览器没有空间保存您的工作，请将区域图存为文件。",
    ),
    "kept_none": (
        "This browser does not keep your work here. Save your maps as files.",
        "此浏览器不在此处保存您的工作，请将区域图存为文件。",
    ),
    "kept_damaged": ("What was kept cannot be read. Nothing here has changed.", "保存的内容无法读取，当前内容未改变。"),
    "kept_lost": ("Connection lost, trying again. Your work is kept here.", "连接已断开，正在重试。您的作品保留在此处。"),
    "kept_again": ("Connected again. Your pictures and maps are kept.", "已重新连接。图片和区域图均已保留。"),
}
