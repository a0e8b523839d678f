"""Values that fit the schema and cannot work: a sentence says why, and nothing is rendered."""

from pathlib import Path
from typing import Any

import pytest

from tests.helm.chart import Refused, render
from tests.helm.given import KEPT, TOLD, told

REFUSED: list[tuple[dict[str, Any], str]] = [
    (told(mode="standalone", replicas=2), "alerter.replicas: 2 need PostgreSQL"),
    (told(replicas=2), "alerter.replicas: a sidecar is one"),
    ({"exporter": {"config": {"web": {"listen": "127.0.0.1:9797"}}}}, "is reached only inside its pod"),
    ({"exporter": {"config": {"web": {"listen": ":${PORT}"}}}}, "holds a variable"),
    (told(config={**TOLD["alerter"]["config"], "web": {"listen": ":9797"}}), "port 9797 is the exporter's"),
    ({"exporter": {"config": {"redis": [{"name": "x", "url_file": "/etc/postwatch/secrets/other/url"}]}}},
     "secrets.other.existingSecret"),
    ({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}, "scrape everything twice"),
    ({"prometheusRule": {"enabled": True, "rules": {"QueueStaled": {"for": "1m"}}}}, 'no alert is named "QueueStaled"'),
    ({"exporter": {"config": {"defaults": {"labels": {"note": "password=hunter22"}}}}}, "a password stands in it"),
    (told(config={**TOLD["alerter"]["config"], "storage": "sqlite:///alerter.db"}), "cannot be written"),
    (told(nodeSelector={"disk": "ssd"}), "alerter.nodeSelector: a sidecar has no pod of its own"),
    (told(initContainers=[{"name": "wait", "image": "wait:1"}]), "alerter.initContainers: a sidecar"),
    ({**told(extraVolumes=[{"name": "x", "emptyDir": {}}]),
      "exporter": {"extraVolumes": [{"name": "x", "configMap": {"name": "x"}}]}},
     'alerter.extraVolumes: the pod has another volume named "x"'),
    ({**told(mode="standalone"), **KEPT, "persistence": {"existingClaim": "mine"}},
     "persistence.existingClaim: the pods of exporter and alerter would both mount mine"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_cannot_work_fails_with_a_sentence(values: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        render(values, folder=tmp_path)
    assert sentence in refused.value.text
