"""The study's routes alone, as a process that can be killed: `python server.py PORT FOLDER [DATABASE_URL]`."""

from __future__ import annotations

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    # The routes need nothing of the engine: without the package's own __init__ no torch is loaded, and the server is soon up.
    bare = types.ModuleType("scsa_core")
    bare.__path__ = [str(ROOT / "scsa_core")]
    sys.modules["scsa_core"] = bare

    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from demo.study_web import Studies, StudyRedirect, routes

    port, folder, *url = sys.argv[1:]
    studies = Studies(Path(folder), *url)
    app = Starlette(routes=routes(studies), middleware=[Middleware(StudyRedirect)])
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
