"""The page in a real browser: nothing is loaded, nothing runs, nothing is cut off on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mentee.experiments.comparison_report import page as comparison_page
from mentee.experiments.results import results
from mentee.report import html, run_page
from tests.experiments.test_results import row, seeded
from tests.report.test_html import EVIL, many

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = {"phone": 390, "desk": 1280}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of few classes, one of many, and a comparison."""
    rows = [row("none", seeded(0.5, 0)), row("kd", seeded(0.6, 1)), row(EVIL, seeded(0.4, 2))]
    texts = {
        "few": html(run_page(many(10))),
        "matrix": html(run_page(many(50))),
        "many": html(run_page(many(1000))),
        "compare": comparison_page(results(rows, [0, 1, 2]), "compare"),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", ["few", "matrix", "many", "compare"])
def test_a_page_is_complete_by_itself_and_fits(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    problems, requests = list[str](), list[str]()
    view = context.new_page()
    view.on("console", lambda message: problems.append(message.text))
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.on("dialog", lambda dialog: (problems.append("a dialog"), dialog.dismiss()))

    def block(route: Any) -> None:
        url = route.request.url
        if url.startswith("data:") or url == pages[name].as_uri():
            route.continue_()
        else:
            requests.append(url)
            route.abort()

    view.route("**/*", block)
    view.goto(pages[name].as_uri())
    for details in view.query_selector_all("details"):
        details.evaluate("each => each.open = true")
    assert problems == []
    assert requests == []
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.evaluate("document.scripts.length") == 0
    assert EVIL in view.inner_text("body")
    back = view.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    images = view.evaluate("[...document.images].map(each => [each.naturalWidth, each.title])")
    if name == "few":
        assert images == [[1, "a\"b'<i>.png"]]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    view = context.new_page()
    view.goto(pages["few"].as_uri())
    colors = view.evaluate(
        """() => ['--text', '--muted', '--blue', '--orange'].map(name => {
            const each = document.createElement('i');
            each.style.color = `var(${name})`;
            document.body.append(each);
            return getComputedStyle(each).color;
        }).concat(getComputedStyle(document.documentElement).backgroundColor)"""
    )
    *texts, ground = [luminance(color) for color in colors]
    for text in texts:
        light, dark = max(text, ground), min(text, ground)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colors
    context.close()


def luminance(color: str) -> float:
    """Relative luminance by WCAG 2 of `rgb(r, g, b)`."""
    parts = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_page_prints_with_its_closed_parts(browser: Any, pages: dict[str, Path]) -> None:
    view = browser.new_page(color_scheme="dark")
    view.goto(pages["few"].as_uri())
    view.emulate_media(media="print")
    ground = view.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == "rgb(255, 255, 255)", "paper is light whatever the screen is"
    assert view.query_selector("nav").is_visible() is False
    assert view.query_selector("#recipe pre").bounding_box()["height"] > 0
    view.close()
