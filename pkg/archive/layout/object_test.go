package layout

import (
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	tree     = "40ce2688295e167a8c46313bc80751f4" // printf team-a/results/build-7 | sha256sum | cut -c -32
	recordID = "82f3e9c695dc6b8d1b11818d5701919e" // printf r1 | sha256sum | cut -c -32
)

var (
	resultName = ObjectName{Kind: ResultKind, Parent: "team-a", Result: "build-7"}
	recordName = ObjectName{Kind: RecordKind, Parent: "team-a", Result: "build-7", ID: "r1"}
	logName    = ObjectName{Kind: LogKind, Parent: "team-a", Result: "build-7", ID: "r1"}
)

func at(name ObjectName, epoch, number int64, gone bool) ObjectKey {
	k := name.KeyOf()
	k.Epoch, k.Number, k.Gone = epoch, number, gone
	return k
}

// The format: these are keys in existing archives.
func TestObjectKeys(t *testing.T) {
	const c = Cluster("prod")
	segment := ObjectSegmentKey{Digits: "40", Writer: writer, Which: 2, Cut: time.Unix(1_800_000_000, 0), Objects: 812}
	for name, test := range map[string]struct {
		key  func() (string, error)
		want string
	}{
		"a Result": {
			func() (string, error) { return c.Object(at(resultName, 0, 7, false)) }, "objects/40c/" + tree +
				".result.000000000.000000007.json.gz",
		},
		"one deleted before": {
			func() (string, error) { return c.Object(at(resultName, 3, 1, false)) }, "objects/40c/" + tree +
				".result.000000003.000000001.json.gz",
		},
		"its tombstone": {
			func() (string, error) { return c.Object(at(resultName, 3, 2, true)) }, "objects/40c/" + tree +
				".result.000000003.000000002.gone",
		},
		"a Record": {
			func() (string, error) { return c.Object(at(recordName, 3, 12, false)) }, "objects/40c/" + tree +
				".under.000000003.record." + recordID + ".000000012.json.gz",
		},
		"a Log": {
			func() (string, error) { return c.Object(at(logName, 0, 1, false)) }, "objects/40c/" + tree +
				".under.000000000.log." + recordID + ".000000001.json.gz",
		},
		"its content": {
			func() (string, error) { return c.Content(at(logName, 0, 1, false), writer) }, "contents/40c/" + tree +
				".000000000." + recordID + ".000000001." + writer + ".zst",
		},
		"a segment": {
			func() (string, error) { return c.ObjectSegment(segment) }, "objectsegments/40/" + writer +
				".0002.1800000000.812.jsonl.gz",
		},
		"a hold": {
			func() (string, error) { return c.ResultHold(tree), nil }, "resultholds/40c/" + tree + ".json",
		},
		"a deletion": {
			func() (string, error) { return c.ResultDeletion(tree, writer) }, "resultdeletions/40c/" + tree +
				"." + writer,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.key()
			if want := "clusters/prod/" + test.want; err != nil || got != want {
				t.Fatalf("got %s, %v; want %s", got, err, want)
			}
			if err := store.CheckKey(got); err != nil {
				t.Errorf("no store takes it: %v", err)
			}
		})
	}
}

func TestParsingObjectsIsTheReverse(t *testing.T) {
	for _, k := range []ObjectKey{at(resultName, 0, 1, false), at(resultName, maxNumber, maxNumber, true),
		at(recordName, 3, 2, true), at(logName, 0, 9, false)} {
		key, err := Cluster("c").Object(k)
		if err != nil {
			t.Fatal(err)
		}
		cluster, got, err := ParseObject(key)
		if err != nil || cluster != "c" || got != k {
			t.Errorf("ParseObject(%s): %s, %+v, %v; want %+v", key, cluster, got, err, k)
		}
		again := k
		again.SetGeneration(k.Generation())
		if again != k {
			t.Errorf("generation %d is %+v, want %+v", k.Generation(), again, k)
		}
		if !strings.HasPrefix(key, Cluster("c").Generations(k)) ||
			!strings.HasPrefix(key, Cluster("c").ObjectsOf(k.Tree)) ||
			!strings.HasPrefix(key, Cluster("c").ObjectsIn("40")) {
			t.Errorf("%s is in none of its lists", key)
		}
	}
	content, _ := Cluster("c").Content(at(logName, 1, 9, false), writer)
	cluster, k, by, err := ParseContent(content)
	if err != nil || cluster != "c" || k != at(logName, 1, 9, false) || by != writer {
		t.Errorf("ParseContent(%s): %s, %+v, %s, %v", content, cluster, k, by, err)
	}
	if _, got, err := ParseResultHold(Cluster("c").ResultHold(tree)); err != nil || got != tree {
		t.Errorf("ParseResultHold: %s, %v", got, err)
	}
	want := ObjectSegmentKey{Digits: "40", Writer: writer, Which: 2, Cut: time.Unix(1_800_000_000, 0).UTC(),
		Objects: 812}
	segment, _ := Cluster("c").ObjectSegment(want)
	if _, got, err := ParseObjectSegment(segment); err != nil || got != want {
		t.Errorf("ParseObjectSegment(%s): %+v, %v", segment, got, err)
	}
}

func TestObjectKeysThatAreNone(t *testing.T) {
	whole := "clusters/c/objects/40c/" + tree + ".result.000000000.000000007.json.gz"
	for name, key := range map[string]string{
		"another class":          strings.Replace(whole, "objects", "commits", 1),
		"another folder":         strings.Replace(whole, "/40c/", "/40d/", 1),
		"number 0":               strings.Replace(whole, "000000007", "000000000", 1),
		"a short number":         strings.Replace(whole, "000000007", "7", 1),
		"another extension":      strings.Replace(whole, ".gz", ".xz", 1),
		"a Result under":         strings.Replace(whole, "result", "under", 1),
		"capital letters":        strings.Replace(whole, "40ce", "40CE", 1),
		"a cluster that is none": strings.Replace(whole, "/c/", "/C/", 1),
	} {
		if _, k, err := ParseObject(key); err == nil {
			t.Errorf("%s: %s is %+v", name, key, k)
		}
	}
	for _, k := range []ObjectKey{at(resultName, 0, 0, false), at(resultName, 0, maxNumber+1, false),
		at(resultName, -1, 1, false), at(resultName, maxNumber+1, 1, false)} {
		if key, err := Cluster("c").Object(k); err == nil {
			t.Errorf("%+v has the key %s", k, key)
		}
	}
	if key, err := Cluster("c").Content(at(recordName, 0, 1, false), writer); err == nil {
		t.Errorf("a Record has the content %s", key)
	}
}
