"""Start the demo: `python app.py`. `python app.py --help` lists the flags."""

from __future__ import annotations

import argparse
import os

from demo.beginning import keep_few_kernels, uncollected

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1000")  # that it remembers; nothing here reads them


def main() -> None:
    parser = argparse.ArgumentParser(description="SCSA Studio: semantic style transfer in the browser.")
    parser.add_argument("--host", default=None, help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also make a public link through Gradio's relay")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args()
    keep_few_kernels()
    with uncollected():
        from demo.app import build_demo, launch_options
        from demo.ending import Ending
        from demo.logs import set_up_logs
        from demo.metrics import Watch
        from demo.settings import Settings
        from demo.startup import be_patient
        from scsa_core.threads import keep_to_allowed_cores

        set_up_logs()
        keep_to_allowed_cores()
        ending = Ending()
        be_patient()
        watch = Watch()
        if args.share or "SPACE_ID" in os.environ:
            os.environ.setdefault("SCSA_CACHE", "off")  # strangers' pictures can be told from what it keeps
        settings = Settings.from_environment(device=args.device, share=args.share)
        demo = build_demo(settings, watch=watch)
        options = launch_options(settings, watch=watch, host=args.host, port=args.port, share=args.share, browser=not args.no_browser)
    ending.demo = demo
    try:
        demo.queue(default_concurrency_limit=None).launch(**options)
    finally:
        ending.join()


if __name__ == "__main__":
    main()
