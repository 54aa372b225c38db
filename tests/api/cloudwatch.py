"""CloudWatch's actions against a running endpoint, once for each protocol it speaks.

    python tests/api/cloudwatch.py --endpoint http://127.0.0.1:4566

Uses accounts of its own, whose random numbers keep runs apart.
"""

import argparse
import datetime
import random
import sys
import time

import botocore.config
import botocore.session
from checks import check, failures
from strict import Checker, code_of, message_of

PROTOCOLS = ("query", "json", "smithy-rpc-v2-cbor")


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
    pages = [c.describe_alarm_history(AlarmName="busy", MaxRecords=1)]
    while token := pages[-1].get("NextToken"):
        pages.append(c.describe_alarm_history(AlarmName="busy", MaxRecords=1, NextToken=token))
    paged = [h["HistorySummary"] for page in pages for h in page["AlarmHistoryItems"]]
    summaries = [h["HistorySummary"] for h in history]
    # The evaluation may have added to it meanwhile.
    check("one a page", paged[-len(summaries) :], summaries)
    created = c.describe_alarm_history(AlarmName="busy", HistoryItemType="ConfigurationUpdate")
    kinds = {h["HistoryItemType"] for h in created["AlarmHistoryItems"]}
    check("of one kind", kinds, {"ConfigurationUpdate"})
    unknown = code_of(c.describe_alarm_history, HistoryItemType="Nothing")
    check("of no kind", unknown, "InvalidParameterValue")
    few = {"ExtendedStatistic": "p90", "EvaluateLowSampleCountPercentile": "ignore"}
    of_few = {k: v for k, v in ALARM.items() if k not in ("Statistic", "AlarmName")} | few
    c.put_metric_alarm(**of_few, AlarmName="few")
    found = c.describe_alarms(AlarmNames=["few"])["MetricAlarms"][0]
    check("low samples", {k: found[k] for k in few}, few)
    c.delete_alarms(AlarmNames=["few"])
    band = {
        "AlarmName": "band",
        "EvaluationPeriods": 1,
        "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
        "ThresholdMetricId": "band",
        "Metrics": [
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {"Namespace": "App", "MetricName": "Load"},
                    "Period": 60,
                    "Stat": "Average",
                },
            },
            {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(m, 2)"},
        ],
    }
    said = message_of(c.put_metric_alarm, **band)
    check("an anomaly band", "ThresholdMetricId is not supported" in said, True)
    check("is no alarm", c.describe_alarms(AlarmNames=["band"])["MetricAlarms"], [])
    for what, more, expected in (
        ("threshold", {"Threshold": None}, "MissingParameter"),
        ("both statistics", {"ExtendedStatistic": "p9"}, "InvalidParameterCombination"),
        ("M of N", {"DatapointsToAlarm": 4}, "ValidationError"),
        ("a day", {"EvaluationPeriods": 1441}, "InvalidParameterValue"),
        ("a week", {"EvaluationPeriods": 169, "Period": 3600}, "InvalidParameterValue"),
        ("low samples", {"EvaluateLowSampleCountPercentile": "x"}, "InvalidParameterValue"),
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
    math(c, metric, span, now, minute)
    value, combination = "InvalidParameterValue", "InvalidParameterCombination"
    for what, code, datum in (
        ("nothing", "MissingParameter", {"MetricName": "x"}),
        ("old", value, point(now - 21600 * minute, Value=1.0)),
        ("unit", value, {"MetricName": "x", "Value": 1.0, "Unit": "Apples"}),
        ("resolution", value, {"MetricName": "x", "Value": 1.0, "StorageResolution": 5}),
        ("not a number", value, {"MetricName": "x", "Value": float("nan")}),
        ("value and values", value, {"MetricName": "x", "Value": 1.0, "Values": [1.0]}),
        ("value and statistics", combination, {"MetricName": "x", "Value": 1.0, "StatisticValues": sums}),
        ("counts", value, {"MetricName": "x", "Values": [1.0, 2.0], "Counts": [1.0]}),
        ("no samples", value, {"MetricName": "x", "StatisticValues": {**sums, "SampleCount": 0.0}}),
    ):
        check(what, code_of(c.put_metric_data, Namespace="App", MetricData=[datum]), code)
    no_time = {"StartTime": now, "EndTime": now}
    ask = {**metric, "Period": 60}
    code = code_of(c.get_metric_statistics, **ask, **no_time, Statistics=["Sum"])
    check("statistics of no time", code, value)
    check("no statistics", code_of(c.get_metric_statistics, **ask, **span), combination)
    code = code_of(c.get_metric_data, MetricDataQueries=queries, **no_time)
    check("data of no time", code, "ValidationError")
    check("data of nothing", code_of(c.get_metric_data, MetricDataQueries=[], **span), "MissingParameter")
    reserved = code_of(c.put_metric_data, Namespace="AWS/EC2", MetricData=[point(now, Value=1.0)])
    check("reserved namespace", reserved, "InvalidParameterValue")
    many = {"StartTime": now - 2000 * minute, "EndTime": now}
    code = code_of(c.get_metric_statistics, **metric, **many, Period=60, Statistics=["Sum"])
    check("too many points", code, "InvalidParameterCombination")


def math(c, metric, span, now, minute):
    """Two points of Load: sums 4 and 6, at two minutes past and one."""
    stat = lambda **more: {"Metric": metric, "Period": 60, "Stat": "Sum", **more}
    load = {"Id": "m", "MetricStat": stat(), "ReturnData": False}

    def results(*queries, **more):
        more = {**span, "ScanBy": "TimestampAscending", **more}
        return c.get_metric_data(MetricDataQueries=[load, *queries], **more)["MetricDataResults"]

    def values(expression):
        return results({"Id": "e", "Expression": expression})[0]["Values"]

    check("times two", values("m * 2"), [8.0, 12.0])
    check("condition", values("IF(m > 5, m, 0)"), [0.0, 6.0])
    check("rate", values("RATE(m) * 60"), [2.0])
    check("per second", values("m / PERIOD(m) * 60"), [4.0, 6.0])
    check("filled", values("FILL(m, 0)")[-3:-1], [4.0, 6.0])
    check("one value", values("TIME_SERIES(MAX(m))")[0], 6.0)
    found = results({"Id": "e", "Expression": "SEARCH('{App,Tier} MetricName=\"Load\"', 'Sum', 60)"})
    check("found", [(r["Label"], r["Values"]) for r in found], [("web", [4.0, 6.0])])
    both = results({"Id": "e", "Expression": "[m, m * 2]", "Label": "x"})
    check("an array", [(r["Id"], r["Label"]) for r in both], [("e", "x Load"), ("e", "x Load")])
    label = {"Id": "l", "MetricStat": stat(), "Label": "max ${MAX} of ${PROP('Dim.Tier')} at ${LAST_TIME}"}
    late = (now - minute + datetime.timedelta(minutes=90)).strftime("%Y-%m-%d %H:%M:%S UTC+01:30")
    got = results(label, LabelOptions={"Timezone": "+0130"})[0]["Label"]
    check("a dynamic label", got, f"max 6 of web at {late}")
    trimmed = {"Id": "t", "MetricStat": stat(Stat="TM(:50%)")}
    check("trimmed mean", results(trimmed)[0]["Values"], [1.5, 1.0])
    dropped = results({"Id": "e", "Expression": "m / (m - 4)"})[0]
    check("divided by zero", dropped["Values"], [3.0])
    check("and said so", dropped["Messages"][0]["Code"], "ArithmeticError")
    first = c.get_metric_data(
        MetricDataQueries=[{**load, "ReturnData": True}], MaxDatapoints=1, **span
    )
    check("a page", first["MetricDataResults"][0]["Values"], [6.0])
    check("of two", first["MetricDataResults"][0]["StatusCode"], "PartialData")
    token = first["NextToken"]
    second = c.get_metric_data(
        MetricDataQueries=[{**load, "ReturnData": True}], MaxDatapoints=1, NextToken=token, **span
    )
    check("the other", second["MetricDataResults"][0]["Values"], [4.0])
    check("the last", "NextToken" in second, False)
    for expression in ("1 + 1", "m +", "n * 2", "FOO(m)", "SUM(m, m)", "ANOMALY_DETECTION_BAND(m)"):
        queries = [load, {"Id": "e", "Expression": expression}]
        code = code_of(c.get_metric_data, MetricDataQueries=queries, **span)
        check(expression, code, "ValidationError")
    twice = code_of(c.get_metric_data, MetricDataQueries=[load, load], **span)
    check("one id twice", twice, "ValidationError")


def math_alarms(c):
    stat = {"Metric": {"Namespace": "App", "MetricName": "Load"}, "Period": 60, "Stat": "Sum"}
    metrics = [
        {"Id": "m", "MetricStat": stat, "ReturnData": False},
        {"Id": "e", "Expression": "FILL(m, 0) / 2", "Label": "half", "ReturnData": True},
    ]
    alarm = {
        "AlarmName": "half",
        "Metrics": metrics,
        "EvaluationPeriods": 2,
        "Threshold": 10.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    c.put_metric_alarm(**alarm)
    found = c.describe_alarms(AlarmNames=["half"])["MetricAlarms"][0]
    got = [{k: v for k, v in q.items()} for q in found["Metrics"]]
    got[0]["MetricStat"]["Metric"].pop("Dimensions", None)
    check("metrics as they were put", got, metrics)
    check("no single metric", [k for k in ("MetricName", "Namespace", "Period") if k in found], [])
    for what, more in (
        ("both", {"MetricName": "Load"}),
        ("two return data", {"Metrics": [{**q, "ReturnData": True} for q in metrics]}),
        ("none does", {"Metrics": [{**q, "ReturnData": False} for q in metrics]}),
        ("no metric", {"Metrics": [{"Id": "e", "Expression": "TIME_SERIES(1)"}]}),
        ("search", {"Metrics": [metrics[0], {"Id": "e", "Expression": "SUM(SEARCH('x', 'Sum', 60))"}]}),
        ("instance", {"AlarmActions": ["arn:aws:automate:us-east-1:ec2:reboot"]}),
    ):
        check(what, code_of(c.put_metric_alarm, **{**alarm, **more}) is not None, True)
    c.delete_alarms(AlarmNames=["half"])


def composites(c):
    c.put_metric_alarm(**{**ALARM, "AlarmName": "child"})
    topic = "arn:aws:sns:us-east-1:000000000000:topic"
    rule = {
        "AlarmName": "parent",
        "AlarmRule": 'ALARM("child") AND NOT INSUFFICIENT_DATA(child)',
        "AlarmDescription": "of one",
        "AlarmActions": [topic],
        "ActionsEnabled": True,
    }
    c.put_composite_alarm(**rule, Tags=[{"Key": "a", "Value": "1"}])
    kinds = ["MetricAlarm", "CompositeAlarm"]
    both = c.describe_alarms(AlarmTypes=kinds)
    parent = both["CompositeAlarms"][0]
    check("as it was put", {k: parent[k] for k in rule}, rule)
    check("of both kinds", [a["AlarmName"] for a in both["MetricAlarms"]], ["child"])
    check("not unasked", c.describe_alarms().get("CompositeAlarms", []), [])
    children = c.describe_alarms(ChildrenOfAlarmName="parent")
    check("children", [a["AlarmName"] for a in children["MetricAlarms"]], ["child"])
    parents = c.describe_alarms(ParentsOfAlarmName="child")
    check("parents", [a["AlarmName"] for a in parents["CompositeAlarms"]], ["parent"])
    check("tags", c.list_tags_for_resource(ResourceARN=parent["AlarmArn"])["Tags"], [{"Key": "a", "Value": "1"}])
    # Set by hand, a state runs its actions; the history is where they can be waited for.
    c.set_alarm_state(AlarmName="parent", StateValue="ALARM", StateReason="why not")
    for _ in range(100):
        items = c.describe_alarm_history(
            AlarmName="parent", AlarmTypes=["CompositeAlarm"], HistoryItemType="Action"
        )["AlarmHistoryItems"]
        if items:
            break
        time.sleep(0.1)
    check("told", [i["HistorySummary"] for i in items][-1:], [f"Successfully executed action {topic}"])
    check("of its kind", {i["AlarmType"] for i in items}, {"CompositeAlarm"})
    for what, more in (
        ("no rule", {"AlarmRule": "ALARM("}),
        ("unknown child", {"AlarmRule": "ALARM(gone)"}),
        ("itself", {"AlarmRule": "NOT ALARM(parent)"}),
        ("the name of another", {"AlarmName": "child", "AlarmRule": "TRUE"}),
        ("scaling", {"AlarmActions": ["arn:aws:autoscaling:us-east-1:000000000000:x"]}),
        ("half a suppressor", {"ActionsSuppressor": "child"}),
    ):
        check(what, code_of(c.put_composite_alarm, **{**rule, **more}), "ValidationError")
    quiet = {"ActionsSuppressor": "child", "ActionsSuppressorWaitPeriod": 10, "ActionsSuppressorExtensionPeriod": 20}
    c.put_composite_alarm(**{**rule, **quiet})
    parent = c.describe_alarms(AlarmNames=["parent"], AlarmTypes=kinds)["CompositeAlarms"][0]
    check("suppressor", {k: parent[k] for k in quiet}, quiet)
    c.delete_alarms(AlarmNames=["parent", "child"])
    check("gone", c.describe_alarms(AlarmTypes=kinds).get("CompositeAlarms", []), [])


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
    detector = code_of(c.put_anomaly_detector)
    check("anomaly detectors", detector, "InvalidParameterValue")


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
        math_alarms(c)
        composites(c)
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
