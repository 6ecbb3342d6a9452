"""Label files of annotation tools. The forms are those that the tools document and export; contents are shortened."""

import json

import pytest

from fsq_edge.data.labels.formats import read_label_file, recognize_format
from fsq_edge_runtime.errors import DataError

# Columns as BORIS 8 writes them (tabular export of an observation of one video).
BORIS_8 = (
    "Observation id,Observation date,Description,Observation duration,Observation type,Source,Time offset (s),"
    "Media duration (s),FPS,Subject,Behavior,Behavioral category,Behavior type,Time,Media file name,Image index,"
    "Image file path,Comment\n"
    "rex-1,2024-06-01 10:00:00,,60.0,Media file(s),player #1:rex.mp4,0.0,60.0,25.0,rex,walk,,START,1.5,rex.mp4,37,,\n"
    "rex-1,2024-06-01 10:00:00,,60.0,Media file(s),player #1:rex.mp4,0.0,60.0,25.0,rex,bark,,POINT,3.25,rex.mp4,81,,\n"
    "rex-1,2024-06-01 10:00:00,,60.0,Media file(s),player #1:rex.mp4,0.0,60.0,25.0,rex,walk,,STOP,9.0,rex.mp4,225,,\n"
)
# Version 7 writes the observation's data above the header, and the state under Status.
BORIS_7 = (
    "Observation id\trex-1\n\nMedia file(s)\n\nPlayer #1\trex.mp4\n\nObservation date\t2019-06-01 10:00:00\n"
    "Description\t\nTime offset (s)\t0.0\n\n"
    "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"
    "1.500\trex.mp4\t60.0\t25\tNo focal subject\twalk\t\t\tSTART\n"
    "9.000\trex.mp4\t60.0\t25\tNo focal subject\twalk\t\t\tSTOP\n"
    "12.000\trex.mp4\t60.0\t25\tNo focal subject\tbark\t\t\tPOINT\n"
)
AGGREGATED = (
    '"Observation id","Observation date","Media file","Total length","FPS","Subject","Behavior","Modifiers",'
    '"Behavior type","Start (s)","Stop (s)","Duration (s)","Comment start","Comment stop"\n'
    '"rex-1","2024-06-01","rex.mp4","60.0","25","rex","walk","","STATE","1.5","9.0","7.5","",""\n'
    '"rex-1","2024-06-01","rex.mp4","60.0","25","rex","bark","","POINT","3.25","3.25","NA","",""\n'
)
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2015-07-27T14:55:36+01:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="9000"/>
<TIME_SLOT TIME_SLOT_ID="ts3"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default" TIER_ID="gait" PARTICIPANT="rex">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>walk</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>hangs</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="notes" PARENT_REF="gait"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>uphill</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>
"""
LABEL_STUDIO = json.dumps(
    [
        {
            "id": 1,
            "data": {"csv": "/data/upload/1/rex.csv"},
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [
                        {
                            "from_name": "label",
                            "to_name": "ts",
                            "type": "timeserieslabels",
                            "value": {"start": 1.5, "end": 9.0, "instant": False, "timeserieslabels": ["walk"]},
                        }
                    ],
                },
                {"was_cancelled": True, "result": [{"value": {"start": 0, "end": 1, "timeserieslabels": ["no"]}}]},
            ],
        }
    ]
)
LABEL_STUDIO_MIN = json.dumps(
    [{"csv": "/data/rex.csv", "label": [{"start": 1.5, "end": 9.0, "instant": False, "timeserieslabels": ["walk"]}]}]
)
EDGE_IMPULSE = json.dumps(
    {
        "version": 1,
        "type": "structured-labels",
        "structuredLabels": {"rex.json": [{"startIndex": 75, "endIndex": 449, "label": "walk"}]},
    }
)
AUDACITY = "1.500000\t9.000000\twalk\n\\\t100.0\t200.0\n12.000000\t12.000000\tbark\n"
WALK = (1.5, 9.0, "walk")


def read(tmp_path, name, text, form=""):
    (tmp_path / name).write_text(text)
    return read_label_file(tmp_path / name, form)


@pytest.mark.parametrize(
    ("name", "text", "form", "subject", "recording"),
    [
        ("rex.csv", BORIS_8, "boris", "rex", "rex-1"),
        ("rex.tsv", BORIS_7, "boris", "", ""),
        ("rex.csv", AGGREGATED, "boris-aggregated", "rex", "rex-1"),
        ("rex.eaf", EAF, "elan", "rex", ""),
        ("rex.json", LABEL_STUDIO, "label-studio", "", "rex.csv"),
        ("rex.json", LABEL_STUDIO_MIN, "label-studio", "", "rex.csv"),
        ("rex.txt", AUDACITY, "audacity", "", ""),
        ("rex.csv", "start,stop,label,subject\n1.5,9.0,walk,rex\n", "plain", "rex", ""),
        ("rex.csv", "1.5;9;walk\n", "plain", "", ""),
        ("rex.csv", "Onset (s)\tDuration (s)\tBehaviour\n1.5\t7.5\twalk\n", "plain", "", ""),
        ("rex.txt", "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t1.5\t9.0\twalk\n", "plain", "", ""),
        ("rex.csv", "label,onset_s,offset_s\nwalk,1.5,9.0\n", "plain", "", ""),
        ("rex.csv", ",name,start_seconds,stop_seconds\n0,walk,1.5,9.0\n", "plain", "", ""),
        ("rex.csv", "start,stop,label\n00:00:01.5,0:09,walk\n", "plain", "", ""),
    ],
)
def test_the_same_walk_in_every_form(tmp_path, name, text, form, subject, recording):
    found = read(tmp_path, name, text)
    assert found.format == form
    first = found.intervals[0] if form != "boris" else next(i for i in found.intervals if i.label == "walk")
    assert (first.start, first.stop, first.label) == WALK
    assert (first.subject, first.recording) == (subject, recording)
    assert not first.absolute


def test_edge_impulse_counts_samples_and_includes_both_ends(tmp_path):
    found = read(tmp_path, "structured_labels.labels", EDGE_IMPULSE)
    assert found.in_samples
    assert (found.intervals[0].start, found.intervals[0].stop) == (75, 450)


def test_points_keep_their_instant(tmp_path):
    assert [i.label for i in read(tmp_path, "a.csv", BORIS_8).intervals if i.is_point] == ["bark"]
    assert [i.label for i in read(tmp_path, "b.csv", AGGREGATED).intervals if i.is_point] == ["bark"]
    assert [i.label for i in read(tmp_path, "c.txt", AUDACITY).intervals if i.is_point] == ["bark"]


def test_references_take_the_times_of_what_they_refer_to(tmp_path):
    uphill = read(tmp_path, "rex.eaf", EAF).intervals[-1]
    assert (uphill.start, uphill.stop, uphill.label, uphill.tier) == (1.5, 9.0, "uphill", "notes")


def test_dates_are_times_since_1970(tmp_path):
    found = read(tmp_path, "a.csv", "start,stop,label\n2024-06-01T10:00:00Z,2024-06-01T12:00:05.5+02:00,walk\n")
    assert found.intervals[0].absolute
    assert found.intervals[0].stop - found.intervals[0].start == 5.5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            BORIS_8.replace("STOP", "START"),
            r"line 4: 'walk' of rex starts again, its START in line 2 has no STOP",
        ),
        ("a.csv", "\n".join(BORIS_8.splitlines()[:2]), r"line 2: START of 'walk' of rex has no STOP"),
        ("a.csv", BORIS_8.replace("START", "STOP"), r"line 2: 'walk' of rex stops without a START"),
        ("a.csv", "start,stop,label\n5,3,walk\n", r"line 2: it ends at 3, before its start at 5"),
        ("a.csv", "start,stop,label\nsoon,3,walk\n", r"line 2: 'soon' is no time"),
        ("a.csv", "x,y,z\n1,2,3\n", r"columns 'x', 'y', 'z'; expected start, stop, label"),
        ("a.eaf", "<ANNOTATION_DOCUMENT><TIER>", r"not a readable eaf file"),
        ("a.eaf", '<!DOCTYPE x [<!ENTITY a "b">]>\n<ANNOTATION_DOCUMENT/>', r"entities are not read"),
        ("a.json", "[{}]", r"holds no time series labels"),
        ("a.json", "{", r"not JSON"),
        ("a.csv", "start,stop,label\n", r"holds no labels"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, name, text)


def test_formats_are_recognised_by_content():
    assert recognize_format("x", BORIS_7.encode()) == "boris"
    assert recognize_format("x", EAF.encode()) == "elan"
    assert recognize_format("x", EDGE_IMPULSE.encode()) == "edge-impulse"
