"""User agents that are no shopper's browser, by what they call themselves."""

from __future__ import annotations

import re

# A browser without a screen is no crawler, as for the door; that a program drives it, sg.js says.
CRAWLER = re.compile(
    r"(?<!cu)bots?(?![a-z])|crawl|spider|slurp|scrap(?:e|y)|mediapartners|preview|externalhit|inspectiontool|lighthouse"
    r"|pingdom|uptime|monitor|archiver|validator|checker|feed|zabbix|nikto|\bcompatible; (?!msie|konqueror)"
    r"|https?://|\+www\.",
    re.I,
)
PROGRAM = re.compile(
    r"^(?:curl|wget|libwww|lwp|java|jersey|jetty|apache-http|go-http|okhttp|axios|node|undici|python|perl|ruby|php|guzzle"
    r"|dart|postman|insomnia|httpie|check_http|whatsapp)|http-?client|libwww|python-|headless",
    re.I,
)


def is_crawler(agent: str) -> bool:
    """Whether a user agent is a crawler's, a link preview's or a monitor's. Who names nothing is none."""
    return CRAWLER.search(agent) is not None


def is_program(agent: str) -> bool:
    """The same, or an HTTP library, a command-line tool, a browser without a screen: in a log of pages no shopper."""
    return is_crawler(agent) or PROGRAM.search(agent) is not None
