"""Words of the history: key -> (English, Chinese)."""

from __future__ import annotations

HISTORY_TEXT: dict[str, tuple[str, str]] = {
    "history.title": ("History", "历史"),
    "history.empty": (
        "Results you paint appear here: the last {most}, kept in this browser.",
        "您绘制的结果会出现在这里：最近 {most} 个，存于此浏览器。",
    ),
    "history.line": (
        "Your last {most} results stay in this browser: {count} so far, {megabytes} MB",
        "最近 {most} 个结果存于此浏览器：现有 {count} 个，共 {megabytes} MB",
    ),
    "history.none": (
        "This browser keeps nothing here: the history lasts until the page is closed.",
        "此浏览器不允许在此保存：历史仅保留到页面关闭。",
    ),
    "history.full": (
        "This browser has no room for more: the newest results last until the page is closed. Delete some to make room.",
        "此浏览器已无空间：最新的结果仅保留到页面关闭。删除一些即可腾出空间。",
    ),
    "history.list": ("Results, newest first", "结果，最新的在前"),
    "history.item": ("{time}: {settings}", "{time}：{settings}"),
    "history.short": ("α {alpha1} / {alpha2}", "α {alpha1} / {alpha2}"),
    "history.turned": ("{name} {value}", "{name} {value}"),
    "history.made": ("{time}, {seconds} s", "{time}，{seconds} 秒"),
    "history.restore": ("Restore", "恢复"),
    "history.restore_hint": ("Bring this result back with its pictures, maps and settings", "恢复此结果及其图片、区域图和设置"),
    "history.compare": ("Compare", "对比"),
    "history.compare_hint": ("Show this result as the other side of the picture above", "将此结果显示为上方图片的另一侧"),
    "history.link": ("Link", "链接"),
    "history.link_hint": ("Keep this result on the server as a link to send", "将此结果保存在服务器上，生成可发送的链接"),
    "history.copy": ("Copy link", "复制链接"),
    "history.until": ("Link kept until {date}", "链接保留至 {date}"),
    "history.delete": ("Delete", "删除"),
    "history.clear": ("Clear all", "全部清除"),
    "history.clear_ask": ("Delete all {count} results from this browser?", "要从此浏览器中删除全部 {count} 个结果吗？"),
    "history.clear_yes": ("Delete all", "全部删除"),
    "history.cancel": ("Cancel", "取消"),
    "history.undo": ("Undo", "撤销"),
    "history.said_deleted": ("Deleted.", "已删除。"),
    "history.said_cleared": ("All deleted.", "已全部删除。"),
    "history.said_restored": ("Restored.", "已恢复。"),
    "history.said_compared": ("It is the other side of the result now.", "它现在是结果的另一侧。"),
    "history.said_linked": ("The link is copied.", "链接已复制。"),
    "history.busy": ("Bringing it back …", "正在恢复 …"),
    "history.failed": ("The server did not take it. Try again in a moment.", "服务器未能接收，请稍后重试。"),
    "status.restored": ("Restored from the history", "已从历史恢复"),
}
