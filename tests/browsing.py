"""One Chromium that tests open pages in, and what they ask it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

AXE = """
const done = arguments[arguments.length - 1];
const rules = {"color-contrast": {enabled: false}};
axe.run(document, {resultTypes: ["violations"], rules}).then((found) => done(found.violations
  .filter((rule) => ["serious", "critical"].includes(rule.impact))
  .map((rule) => `${rule.id}: ${rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))}`)));
"""


class Browser:
    """One Chromium for all tests: opens pages under emulated media and reads what they did."""

    def __init__(self) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(
        self,
        path: Path,
        *,
        anchor: str = "",
        is_dark: bool = False,
        media: str = "",
        width: int = 1280,
        has_scripts: bool = True,
    ) -> None:
        """Open a file under a colour scheme, medium, width, with or without scripts."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]
        self._tell("Emulation.setEmulatedMedia", media=media, features=features)
        self._tell("Emulation.setScriptExecutionDisabled", value=not has_scripts)
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.driver.get("about:blank")
        self.requests()
        self.messages()
        self.driver.get(path.as_uri() + anchor)

    def _tell(self, command: str, **parameters: Any) -> None:
        self.driver.execute_cdp_cmd(command, parameters)

    def messages(self) -> list[str]:
        """Console messages since the last question, errors of the policy among them."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last question, but for inline data."""
        asked = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(str(message["params"]["request"]["url"]))
        return [url for url in asked if not url.startswith(("data:", "about:"))]

    def ask(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`; works also where the page's own scripts are off."""
        return self.driver.execute_script(script, *arguments)

    def colours(self) -> int:
        """How many distinct colours a picture of the page has: few where it is blank."""
        from PIL import Image

        with Image.open(io.BytesIO(self.driver.get_screenshot_as_png())) as picture:
            found = picture.convert("RGB").quantize(64).getcolors()
        return len(found or [])

    def close(self) -> None:
        """End the browser that was started here."""
        self.driver.quit()


def started() -> Iterator[Browser]:
    """Yield a browser and end it, or skip and say why there is none."""
    pytest.importorskip("selenium")
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    found = Browser()
    yield found
    found.close()


def serious(browser: Browser) -> list[str]:
    """Return the serious findings of axe-core in the open page, but for contrast."""
    axe = pytest.importorskip("axe_core_python")
    browser.ask(Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    return list(browser.driver.execute_async_script(AXE))
