"""Snakemake's own report holds our pages side by side, so that their links lead somewhere."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.xdist_group("tiny")]


@pytest.fixture(scope="module")
def unpacked(tiny: Path, workflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a colleague gets when the zip is unpacked."""
    folder, target = tiny.parents[1], tmp_path_factory.mktemp("zip")
    packed = ["--report", str(target / "report.zip")]
    workflow(folder, *packed, "--configfile", str(folder / "config.yaml"), "--", "report")
    zipfile.ZipFile(target / "report.zip").extractall(target)
    return target / "report"


def test_every_link_between_pages_leads_to_a_file(unpacked: Path, tiny: Path) -> None:
    (pages,) = {path.parent for path in unpacked.glob("data/raw/*/*.html")}
    names = {path.name for path in pages.glob("*.html")}
    assert names == {path.name for path in (tiny / "reports").glob("*.html")}
    for path in pages.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        for link in re.findall(r'href="([^"#:]+)["#]', text):
            assert (pages / link).is_file(), f"{path.name}: {link}"


@pytest.mark.browser
def test_a_page_opens_in_the_report_and_leads_on(unpacked: Path) -> None:
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in programs.values():
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900"):
        options.add_argument(flag)
    service = webdriver.ChromeService(str(programs["chromedriver"]))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        wait = WebDriverWait(driver, 20)
        driver.get((unpacked / "report.html").as_uri())
        wait.until(lambda d: d.find_element(By.LINK_TEXT, "Pages")).click()
        row = "//tr[td[contains(., 'Overview')]]//a[@iconname='eye']"
        wait.until(lambda d: d.find_element(By.XPATH, row)).click()
        driver.switch_to.frame(wait.until(lambda d: d.find_element(By.TAG_NAME, "iframe")))
        wait.until(lambda d: d.find_element(By.LINK_TEXT, "Quality")).click()
        assert wait.until(lambda d: d.find_element(By.TAG_NAME, "h1").text == "Quality")
    finally:
        driver.quit()
