"""The pages in a real browser: what is uploaded is drawn, and stays so through a restart."""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, expect

from app.settings import Settings
from tests.live.support import MINUTE, Broker, alert, now_ms, person, serving, token

pytestmark = [
    pytest.mark.servers,
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
]

NO_VALUE = "\N{EN DASH}"
DESKTOP = {"width": 1440, "height": 1000}
PHONE = {"width": 390, "height": 844}


@asynccontextmanager
async def opened(
    browser: Browser,
    settings: Settings,
    path: str,
    *,
    size: dict[str, int] = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
) -> AsyncIterator[Page]:
    """Open a page; at the end no script may have failed."""
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]}, color_scheme=scheme
    )
    page = await context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on(
        "console",
        lambda said: failures.append(said.text) if "Content Security" in said.text else None,
    )
    await page.goto(f"http://localhost:{settings.port}{path}")
    yield page
    await context.close()
    assert failures == []


def story(broker: Broker, user: str, until: int) -> None:
    """Write half an hour of heart rate and saturation, with a gap, a band and an alert."""
    heart = [
        (t, 70 + 6 * math.sin(t / 240_000) + 2 * math.sin(t / 9_000))
        for t in range(until - 30 * MINUTE, until, 2_000)
        if not until - 9 * MINUTE < t < until - 7 * MINUTE
    ]
    oxygen = [(t, 96.5 + math.sin(t / 300_000)) for t, _ in heart[::5]]
    broker.samples(user, {"heart_rate": heart, "spo2": oxygen})
    for metric, series, band in (
        ("heart_rate", heart, (58.0, 84.0)),
        ("spo2", oxygen, (94.0, 99.0)),
    ):
        minutes: dict[int, list[float]] = {}
        for t, value in series:
            minutes.setdefault(t // MINUTE * MINUTE, []).append(value)
        rows = [(start, sum(v) / len(v)) for start, v in minutes.items()]
        broker.windows(user, metric, rows, band=band)
    broker.alert(alert(user, opened_ms=until - 4 * MINUTE, changed_ms=until - 4 * MINUTE))
    broker.flush()


SAMPLES = """metric => {
  const root = Bokeh.index.roots.find((view) => view.el.closest(`[data-metric='${metric}']`));
  const line = root?.model.renderers.find((renderer) => renderer.glyph.type === "Line");
  return line?.data_source.data ?? {x: [], y: []};
}"""
"""What the line of a metric's chart holds: instants and values."""


async def drawn(page: Page, metric: str) -> dict[str, list[float]]:
    data: dict[str, list[float]] = await page.evaluate(SAMPLES, metric)
    return data


async def wait_drawn(page: Page, metric: str, time: int) -> None:
    await page.wait_for_function(
        f"([metric, time]) => window.Bokeh && ({SAMPLES})(metric).x.includes(time)",
        arg=[metric, time],
        timeout=20_000,
    )


async def no_sideways_scrolling(page: Page) -> None:
    widths: list[int] = await page.evaluate(
        "[document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert widths[0] <= widths[1]


async def test_the_overview_shows_people_and_keeps_up(
    site: Settings, broker: Broker, chromium: Browser, artifacts: Path
) -> None:
    calm, ill = person(), person()
    story(broker, ill, now_ms())
    broker.samples(calm, {"heart_rate": [(now_ms(), 61.0)]})
    broker.flush()
    async with opened(chromium, site, "/") as page:
        row = page.locator(f"[data-user='{calm}']")
        await expect(row.locator(".value b")).to_have_text("61")
        await expect(page.locator("#connection")).to_have_text("Live")
        await expect(page.locator(f"[data-user='{ill}'] .mark")).to_contain_text("Critical")
        order = await page.locator(".person").evaluate_all("all => all.map(e => e.dataset.user)")
        assert order.index(ill) < order.index(calm)
        broker.samples(calm, {"heart_rate": [(now_ms(), 88.0)]})
        broker.flush()
        await expect(row.locator(".value b")).to_have_text("88")
        await expect(page.locator("[data-figure=samples_per_s]")).not_to_have_text(NO_VALUE)
        await page.fill("#search", calm[:8])
        await expect(page.locator(".person")).to_have_count(1)
        await page.fill("#search", "")
        await page.screenshot(path=artifacts / "overview.png")


async def test_old_values_are_marked_as_stale(
    site: Settings, broker: Broker, chromium: Browser
) -> None:
    user = person()
    broker.samples(user, {"heart_rate": [(now_ms() - 40 * MINUTE, 61.0)]})
    broker.flush()
    async with opened(chromium, site, "/") as page:
        await expect(page.locator(f"[data-user='{user}'] .seen")).to_have_text("stale, 40 min ago")


async def test_an_uploaded_sample_is_drawn(
    site: Settings, broker: Broker, chromium: Browser, artifacts: Path
) -> None:
    user, start = person(), now_ms()
    story(broker, user, start)
    async with opened(chromium, site, f"/people/{user}") as page:
        await expect(page.locator(".card")).to_have_count(2)
        time = now_ms()
        broker.samples(user, {"heart_rate": [(time, 77.7)]})
        broker.flush()
        await wait_drawn(page, "heart_rate", time)
        data = await drawn(page, "heart_rate")
        assert data["y"][data["x"].index(time)] == 77.7
        # Where nothing was measured the line is broken, not drawn through.
        gap = [x for x in data["x"] if start - 9 * MINUTE < x < start - 7 * MINUTE]
        assert len(gap) == 1
        assert math.isnan(data["y"][data["x"].index(gap[0])])
        card = page.locator("[data-metric=heart_rate]")
        await expect(card.locator(".value b")).to_have_text("77.7")
        await expect(card.locator(".summary")).to_contain_text(re.compile("expected now 58.84"))
        await expect(page.locator("#alerts .mark")).to_have_text(["Critical"])
        await expect(page.locator("#alerts .why")).to_contain_text("above 130 bpm")
        await card.locator("details summary").click()
        assert await card.locator("tbody tr").count() >= 10
        await card.locator("details summary").click()
        await page.screenshot(path=artifacts / "person.png")


async def test_the_time_cursor_reads_all_charts_by_keyboard(
    site: Settings, broker: Broker, chromium: Browser
) -> None:
    user = person()
    story(broker, user, now_ms())
    async with opened(chromium, site, f"/people/{user}") as page:
        await expect(page.locator(".card .bk-Canvas")).to_have_count(2)
        await page.locator("[data-metric=heart_rate] .plot").focus()
        for _ in range(10):
            await page.keyboard.press("ArrowLeft")
        for metric, unit in (("heart_rate", "bpm"), ("spo2", "%")):
            readout = page.locator(f"[data-metric={metric}] .readout")
            await expect(readout).to_contain_text(unit)
            await expect(readout).to_contain_text("mean")


async def test_a_restarted_server_leaves_no_gap(
    settings: Settings, broker: Broker, chromium: Browser
) -> None:
    user, start = person(), now_ms()
    times = [start + n for n in range(3)]
    async with serving(settings):
        broker.samples(user, {"heart_rate": [(times[0], 60.0)]})
        broker.flush()
        context = await chromium.new_context(color_scheme="light")
        page = await context.new_page()
        await page.goto(f"http://localhost:{settings.port}/people/{user}")
        await wait_drawn(page, "heart_rate", times[0])
    await expect(page.locator("#connection")).to_contain_text("Reconnecting")
    broker.samples(user, {"heart_rate": [(times[1], 61.0)]})
    broker.flush()
    async with serving(settings):
        await expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
        broker.samples(user, {"heart_rate": [(times[2], 62.0)]})
        broker.flush()
        await wait_drawn(page, "heart_rate", times[2])
        assert (await drawn(page, "heart_rate"))["x"] == times
        await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_a_phone(
    site: Settings,
    broker: Broker,
    chromium: Browser,
    artifacts: Path,
    scheme: Literal["light", "dark"],
) -> None:
    user = person()
    story(broker, user, now_ms())
    async with opened(chromium, site, "/", size=PHONE, scheme=scheme) as page:
        await expect(page.locator(f"[data-user='{user}'] .mark")).to_be_visible()
        await no_sideways_scrolling(page)
        await page.screenshot(path=artifacts / f"overview-phone-{scheme}.png")
    async with opened(chromium, site, f"/people/{user}", size=PHONE, scheme=scheme) as page:
        await expect(page.locator(".card .bk-Canvas")).to_have_count(2)
        await no_sideways_scrolling(page)
        await page.screenshot(path=artifacts / f"person-phone-{scheme}.png", full_page=True)


async def test_dark_mode_is_dark_and_legible(
    site: Settings, broker: Broker, chromium: Browser, artifacts: Path
) -> None:
    user = person()
    story(broker, user, now_ms())
    async with opened(chromium, site, f"/people/{user}", scheme="dark") as page:
        await expect(page.locator(".card .bk-Canvas")).to_have_count(2)
        colors: list[dict[str, Any]] = await page.evaluate(CONTRASTS)
        assert colors[0]["background"] < 0.05
        poor = [c for c in colors if c["contrast"] < 4.5]
        assert poor == []
        await page.screenshot(path=artifacts / "person-dark.png")


async def test_light_mode_is_legible(site: Settings, broker: Broker, chromium: Browser) -> None:
    story(broker, person(), now_ms())
    async with opened(chromium, site, "/") as page:
        await expect(page.locator(".person .mark").first).to_be_visible()
        poor = [c for c in await page.evaluate(CONTRASTS) if c["contrast"] < 4.5]
        assert poor == []


async def test_signing_in_and_out(settings: Settings, chromium: Browser, artifacts: Path) -> None:
    strict = settings.model_copy(update={"auth_demo_sign_in": False})
    user = person()
    async with serving(strict), opened(chromium, strict, f"/people/{user}") as page:
        await expect(page).to_have_title("Sign in · Vitalstream")
        await page.fill("#token", "not a token")
        await page.keyboard.press("Enter")
        await expect(page.locator("#problem")).to_contain_text("not valid")
        await page.screenshot(path=artifacts / "sign-in.png")
        await page.fill("#token", token(strict))
        await page.keyboard.press("Enter")
        await expect(page).to_have_title(f"{user[:8]} · Vitalstream")
        assert await page.evaluate("document.cookie") == ""
        await page.wait_for_load_state()  # the title is there before the scripts have run
        await page.click("#sign-out")
        await expect(page).to_have_title("Sign in · Vitalstream")


CONTRASTS = """() => {
  const parse = (text) => {
    const srgb = text.match(/color\\(srgb ([^)]+)\\)/);
    if (srgb) {
      const [r, g, b, , a] = srgb[1].split(" ").map(Number);
      return [r * 255, g * 255, b * 255, a ?? 1];
    }
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a ?? 1];
  };
  const light = ([r, g, b]) => {
    const part = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color[3] > 0.99) return color;
    }
    return [255, 255, 255, 1];
  };
  const found = [{ text: "page", background: light(behind(document.body)), contrast: 21 }];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.closest(".bk-Canvas, noscript, script, .visually-hidden, .skip")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push({ text: element.textContent.trim().slice(0, 40), contrast });
  }
  return found;
}"""
