package filter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

func TestNeeds(t *testing.T) {
	for text, want := range map[string]string{
		`data.metadata.labels["a"] == "b"`:                 "data/metadata/labels/a [b]",
		`data_type == TASK_RUN && "x" == name`:             "data_type [tekton.dev/v1.TaskRun], name [x]",
		`name == "a" || name == "b" || name in ["c", "a"]`: "name [a b c]",
		`name == "a" || parent == "b"`:                     "",
		`!(name == "a")`:                                   "",
		`name != "a"`:                                      "",
		`(data_type == "x" || data_type == "y") && data.metadata.labels["a"] in ["b"]`: "data_type [x y], data/metadata/labels/a [b]",
	} {
		f, err := filter.Parse(filter.Records, text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range f.Needs() {
			got = append(got, fmt.Sprint(strings.ReplaceAll(n.Key(), "\x00", "/"), " ", n.Values))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestBetween(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 30, 10, minute, 0, 0, time.UTC) }
	for text, want := range map[string][2]time.Time{
		`create_time > timestamp("2026-11-30T10:01:00Z")`:  {at(1)},
		`timestamp("2026-11-30T10:01:00Z") >= create_time`: {1: at(1)},
		`create_time == timestamp("2026-11-30T10:01:00Z")`: {at(1),
			at(1)},
		`create_time >= timestamp("2026-11-30T10:01:00Z") && create_time < timestamp("2026-11-30T10:09:00Z") && name == "x"`: {at(1),
			at(9)},
		`create_time != timestamp("2026-11-30T10:01:00Z")`:               {},
		`create_time > timestamp("2026-11-30T10:01:00Z") || name == "x"`: {},
		`!(create_time > timestamp("2026-11-30T10:01:00Z"))`:             {},
		`update_time > timestamp("2026-11-30T10:01:00Z")`:                {},
	} {
		f, err := filter.Parse(filter.Records, text)
		if err != nil {
			t.Fatal(err)
		}
		from, to := f.Between("create_time")
		if !from.Equal(want[0]) || !to.Equal(want[1]) {
			t.Errorf("%s: got %v to %v, want %v", text, from, to, want)
		}
	}
}
