import json
from html.parser import HTMLParser

import numpy as np
import pytest

from fsq_edge.data.quality import DataQualityMonitor
from tests.factories.defects import CHANNELS, periodic, with_clipping, with_nan


@pytest.fixture
def watched():
    monitor = DataQualityMonitor(channels=CHANNELS)
    monitor.analyze(periodic(), "healthy")
    monitor.analyze(with_clipping(with_nan(periodic())), "broken <set>")
    return monitor


def test_text_names_every_data_set_and_finding(watched):
    text = watched.generate_report()
    assert "Dataset: healthy" in text
    assert "nothing found" in text
    assert "Quality score: 100.0/100" in text
    assert "recommended strategy: interpolate" in text
    assert "ERROR   gyro_x" in text
    assert DataQualityMonitor().generate_report() == "no data analysed yet"


def test_json_holds_the_measurements(watched):
    value = json.loads(watched.generate_report("json"))
    assert value["schema_version"] == 1
    healthy, broken = value["analyses"]
    assert healthy["findings"] == []
    assert {finding["rule"] for finding in broken["findings"]} == {"nan", "saturated"}
    assert broken["channels"][3]["saturated_share"] > 0.01
    assert broken["channels"][3]["score"] < 100


def test_json_has_no_nan():
    monitor = DataQualityMonitor()
    monitor.analyze(np.full((2, 3, 50), np.nan))
    assert json.loads(monitor.generate_report("json"))["analyses"][0]["mean"] is None


def test_html_is_one_page_that_escapes_names(watched):
    pytest.importorskip("jinja2", reason="the report extra is not installed")
    page = watched.generate_report("html")
    tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append((tag, dict(attrs)))

    Reader().feed(page)
    assert "broken &lt;set&gt;" in page
    assert not any(tag in ("script", "link") or "src" in attributes for tag, attributes in tags)
    assert sum(tag == "h2" for tag, _ in tags) == 2
    assert "http" not in page.replace("http-equiv", "")


def test_history_keeps_the_order(watched):
    assert [metrics.dataset for metrics in watched.history] == ["healthy", "broken <set>"]
