"""CloudWatch's actions against a running endpoint, once for each protocol it speaks.

    python tests/api/cloudwatch.py --endpoint http://127.0.0.1:4566

Uses accounts of its own, whose random numbers keep runs apart.
"""

import argparse
import datetime
import random
import sys

import botocore.config
import botocore.session
from strict import Checker, code_of

failures = []
PROTOCOLS = ("query", "json", "smithy-rpc-v2-cbor")


def check(what, got, expected):
    if got != expected:
        failures.append(f"{what}: got {got!r}, expected {expected!r}")


def client(protocol, endpoint):
    """A client that speaks one protocol, whatever botocore would choose."""
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def load_with_protocol(service_name, type_name, api_version=None):
        model = load(service_name, type_name, api_version)
        if type_name == "service-2" and "metadata" in model:
            metadata = {**model["metadata"], "protocol": protocol, "protocols": [protocol]}
            model = {**model, "metadata": metadata}
        return model

    loader.load_service_model = load_with_protocol
    return session.create_client(
        "cloudwatch",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=str(random.randrange(10**11, 10**12)),
        aws_secret_access_key="test",
        config=botocore.config.Config(
            retries={"total_max_attempts": 1}, parameter_validation=False
        ),
    )


ALARM = {
    "AlarmName": "busy",
    "MetricName": "Load",
    "Namespace": "App",
    "Statistic": "Average",
    "Dimensions": [{"Name": "Tier", "Value": "web"}],
    "Period": 60,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 80.5,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "Unit": "Percent",
    "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:topic"],
}


def alarms(c):
    c.put_metric_alarm(**ALARM, AlarmDescription="b", Tags=[{"Key": "a", "Value": "1"}])
    c.put_metric_alarm(**{**ALARM, "AlarmName": "calm", "Namespace": "Other"})
    found = c.describe_alarms(AlarmNames=["busy"])["MetricAlarms"][0]
    check("as it was put", {k: found[k] for k in ALARM}, ALARM)
    check("actions enabled", found["ActionsEnabled"], True)
    check("other actions", (found["OKActions"], found["InsufficientDataActions"]), ([], []))
    check("arn", found["AlarmArn"].endswith(":alarm:busy"), True)
    check("a time", type(found["StateUpdatedTimestamp"]), datetime.datetime)
    names = lambda **by: [a["AlarmName"] for a in c.describe_alarms(**by)["MetricAlarms"]]
    check("all", names(), ["busy", "calm"])
    check("by prefix", names(AlarmNamePrefix="ca"), ["calm"])
    check("by action", names(ActionPrefix="arn:aws:sns"), ["busy", "calm"])
    check("unknown", names(AlarmNames=["x"]), [])
    check("composite ones", names(AlarmTypes=["CompositeAlarm"]), [])
    first = c.describe_alarms(MaxRecords=1)
    check("first page", [a["AlarmName"] for a in first["MetricAlarms"]], ["busy"])
    check("second page", names(MaxRecords=1, NextToken=first["NextToken"]), ["calm"])
    metric = {k: ALARM[k] for k in ("MetricName", "Namespace", "Dimensions")}
    check("of the metric", len(c.describe_alarms_for_metric(**metric)["MetricAlarms"]), 1)
    tags = lambda: c.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"]
    check("tags", tags(), [{"Key": "a", "Value": "1"}])
    c.tag_resource(ResourceARN=found["AlarmArn"], Tags=[{"Key": "b", "Value": ""}])
    c.untag_resource(ResourceARN=found["AlarmArn"], TagKeys=["a"])
    check("other tags", tags(), [{"Key": "b", "Value": ""}])
    c.disable_alarm_actions(AlarmNames=["busy"])
    disabled = c.describe_alarms(AlarmNames=["busy"])["MetricAlarms"][0]
    check("disabled", disabled["ActionsEnabled"], False)
    c.enable_alarm_actions(AlarmNames=["busy"])
    c.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="why not")
    history = c.describe_alarm_history(AlarmName="busy")["AlarmHistoryItems"]
    check("created", 'Alarm "busy" created' in [h["HistorySummary"] for h in history], True)
    kinds = {h["HistoryItemType"] for h in history}
    check("kinds", kinds >= {"ConfigurationUpdate", "StateUpdate"}, True)
    for what, more, expected in (
        ("threshold", {"Threshold": None}, "MissingParameter"),
        ("both statistics", {"ExtendedStatistic": "p9"}, "InvalidParameterCombination"),
        ("M of N", {"DatapointsToAlarm": 4}, "InvalidParameterValue"),
        ("a day", {"EvaluationPeriods": 1441}, "InvalidParameterValue"),
        ("period", {"Period": 45}, "InvalidParameterValue"),
        ("arn", {"AlarmActions": ["x"]}, "InvalidParameterValue"),
        ("missing data", {"TreatMissingData": "x"}, "InvalidParameterValue"),
    ):
        given = {k: v for k, v in {**ALARM, **more}.items() if v is not None}
        check(what, code_of(c.put_metric_alarm, **given), expected)
    check("one unknown", code_of(c.delete_alarms, AlarmNames=["calm", "x"]), "ResourceNotFound")
    check("none is gone", names(), ["busy", "calm"])
    c.delete_alarms(AlarmNames=["calm", "busy"])
    check("gone", names(), [])
    gone = code_of(c.set_alarm_state, AlarmName="x", StateValue="OK", StateReason="")
    check("no alarm", gone, "ResourceNotFound")


def data(c):
    minute = datetime.timedelta(minutes=1)
    now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    tier = [{"Name": "Tier", "Value": "web"}]
    point = lambda at, **more: {"MetricName": "Load", "Dimensions": tier, "Timestamp": at, **more}
    c.put_metric_data(
        Namespace="App",
        MetricData=[
            point(now - 2 * minute, Value=1.5, Unit="Percent"),
            point(now - 2 * minute, Value=2.5, Unit="Percent"),
            point(now - minute, Values=[1.0, 3.0], Counts=[3.0, 1.0], Unit="Percent"),
        ],
    )
    sums = {"SampleCount": 2.0, "Sum": 5.0, "Minimum": 2.0, "Maximum": 3.0}
    c.put_metric_data(
        Namespace="App", MetricData=[{"MetricName": "Set", "StatisticValues": sums}]
    )
    listed = c.list_metrics(Namespace="App")["Metrics"]
    check("metrics", [m["MetricName"] for m in listed], ["Load", "Set"])
    check("dimensions", listed[0]["Dimensions"], tier)
    span = {"StartTime": now - 5 * minute, "EndTime": now + minute}
    metric = {"Namespace": "App", "MetricName": "Load", "Dimensions": tier}
    got = c.get_metric_statistics(
        **metric, **span, Period=60, Statistics=["Average", "SampleCount"], ExtendedStatistics=["p50"]
    )
    points = sorted(got["Datapoints"], key=lambda p: p["Timestamp"])
    check("averages", [p["Average"] for p in points], [2.0, 1.5])
    check("counts", [p["SampleCount"] for p in points], [2.0, 4.0])
    check("median", [p["ExtendedStatistics"]["p50"] for p in points], [2.0, 1.0])
    check("unit", {p["Unit"] for p in points}, {"Percent"})
    check("not asked for", "Sum" in points[0], False)
    stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
    queries = [{"Id": "a", "MetricStat": stat}]
    result = c.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"][0]
    check("newest first", result["Values"], [6.0, 4.0])
    check("times", result["Timestamps"][0].astimezone(datetime.timezone.utc), now - minute)
    check("complete", result["StatusCode"], "Complete")
    other = {**stat, "Metric": {**metric, "MetricName": "x"}}
    queries = [{"Id": "b", "MetricStat": other, "Label": "none"}]
    result = c.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"][0]
    check("no data", (result["Label"], result["Values"]), ("none", []))
    math = [{"Id": "e", "Expression": "1+1"}]
    check("math", code_of(c.get_metric_data, MetricDataQueries=math, **span) is not None, True)
    for what, datum in (
        ("nothing", {"MetricName": "x"}),
        ("old", point(now - 21600 * minute, Value=1.0)),
        ("unit", {"MetricName": "x", "Value": 1.0, "Unit": "Apples"}),
    ):
        code = code_of(c.put_metric_data, Namespace="App", MetricData=[datum])
        check(what, code is not None, True)
    reserved = code_of(c.put_metric_data, Namespace="AWS/EC2", MetricData=[point(now, Value=1.0)])
    check("reserved namespace", reserved, "InvalidParameterValue")
    many = {"StartTime": now - 2000 * minute, "EndTime": now}
    code = code_of(c.get_metric_statistics, **metric, **many, Period=60, Statistics=["Sum"])
    check("too many points", code, "InvalidParameterCombination")


def dashboards(c):
    body = '{"widgets": []}'
    put = c.put_dashboard(DashboardName="web", DashboardBody=body)
    check("no complaints", put.get("DashboardValidationMessages", []), [])
    got = c.get_dashboard(DashboardName="web")
    check("as it was put", got["DashboardBody"], body)
    check("its arn", got["DashboardArn"].endswith(":dashboard/web"), True)
    entry = c.list_dashboards(DashboardNamePrefix="w")["DashboardEntries"][0]
    check("size", entry["Size"], len(body))
    bad = code_of(c.put_dashboard, DashboardName="web", DashboardBody="[]")
    check("bad body", bad, "InvalidParameterInput")
    c.delete_dashboards(DashboardNames=["web"])
    check("deleted", code_of(c.get_dashboard, DashboardName="web"), "ResourceNotFound")
    rule = {"AlarmName": "x", "AlarmRule": "TRUE"}
    check("composite", code_of(c.put_composite_alarm, **rule), "InvalidParameterValue")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    calls = 0
    for protocol in PROTOCOLS:
        before = len(failures)
        c = client(protocol, options.endpoint)
        checker = Checker(c)
        alarms(c)
        data(c)
        dashboards(c)
        failures.extend(f"not in the model: {unknown}" for unknown in sorted(checker.unknown))
        failures[before:] = [f"{protocol}: {failure}" for failure in failures[before:]]
        calls += len(checker.calls)
    for failure in failures:
        print(failure)
    print(f"{calls} actions called, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
