"""User agents: who is a shopper's browser, who a crawler, who a program."""

from __future__ import annotations

import pytest

from shopguide.agents import is_crawler, is_program

BROWSERS = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.1; Trident/6.0)",
    "Mozilla/5.0 (compatible; Konqueror/4.0; Linux) KHTML/4.0.80",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) Chrome/90 Mobile",
    "Mozilla/5.0 (Linux; Android 9; CUBOT) Chrome/90 Mobile",
    "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
    "",
    "-",
]
CRAWLERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1",
    "Screaming Frog SEO Spider/19.0",
    "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "Mozilla/5.0 (compatible; AhrefsSiteAudit/6.1)",
    "UptimeRobot/2.0",
]
PROGRAMS = [
    "curl/8.5.0",
    "Wget/1.21",
    "python-requests/2.32",
    "Go-http-client/1.1",
    "okhttp/4.12",
    "HeadlessChrome/140.0",
]


@pytest.mark.parametrize("agent", BROWSERS)
def test_browsers_are_neither(agent: str) -> None:
    assert not is_crawler(agent) and not is_program(agent)


@pytest.mark.parametrize("agent", CRAWLERS)
def test_crawlers_are_both(agent: str) -> None:
    assert is_crawler(agent) and is_program(agent)


@pytest.mark.parametrize("agent", PROGRAMS)
def test_a_shops_own_program_is_no_crawler(agent: str) -> None:
    assert not is_crawler(agent) and is_program(agent)
