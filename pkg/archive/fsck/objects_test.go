package fsck

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// tools returns an archive with what tools wrote: a Result, a Record, and a Log with a content.
type tools struct {
	*archive
	objects                      *object.Objects
	result, record, log, content string
}

func newTools(t *testing.T) *tools {
	t.Helper()
	a := newArchive(t)
	w := &tools{archive: a, objects: object.New(a.store, cluster, time.Now)}
	create := func(o object.Object, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return o.Key
	}
	base := object.Object{Parent: "team", Result: "r", Data: json.RawMessage(`{}`)}
	result, record := base, base
	result.Kind, record.Kind, record.ID = object.Result, object.Record, "x"
	w.result, w.record = create(w.objects.Create(t.Context(), result)), create(w.objects.Create(t.Context(), record))
	name := object.Name{Kind: object.Log, Parent: "team", Result: "r", ID: "l"}
	log, err := w.objects.PutLog(t.Context(), name, io.LimitReader(rand.NewChaCha8([32]byte{}), 100<<10))
	w.log = create(log, err)
	content, err := object.ContentOf(&log)
	if err != nil {
		t.Fatal(err)
	}
	w.content = content.Part
	return w
}

func TestCheckOfWhatToolsWrote(t *testing.T) {
	name := object.Name{Kind: object.Result, Parent: "team", Result: "r"}
	for what, test := range map[string]struct {
		damage func(t *testing.T, w *tools)
		want   []string
	}{
		"find nothing in a whole one": {func(*testing.T, *tools) {}, nil},
		"find a damaged Result": {
			func(t *testing.T, w *tools) { flip(t, w.path(w.result)) }, []string{"damaged object: RESULT"},
		},
		"find a Record of another name": {func(t *testing.T, w *tools) {
			data := readFile(t, w.path(w.record))
			write(t, w.path(w.result), data)
		}, []string{"damaged object: RESULT"}},
		"find a damaged content": {
			func(t *testing.T, w *tools) { flip(t, w.path(w.content)) }, []string{"damaged content of a log: CONTENT"},
		},
		"find that a content is missing": {func(t *testing.T, w *tools) { remove(t, w.path(w.content)) },
			[]string{"missing content of a log: CONTENT"}},
		"find an object of a later version": {func(t *testing.T, w *tools) {
			write(t, w.path(w.record), gzipped(t, `{"apiVersion":"archive.indelible.dev/v2"}`))
		}, []string{"object of an unknown version: RECORD"}},
		"say that fields of a later program are carried": {func(t *testing.T, w *tools) {
			write(t, w.path(w.record),
				gzipped(t, strings.Replace(gunzipped(t, w.path(w.record)), `{"apiVersion"`,
					`{"labels":{},"apiVersion"`, 1)))
		}, []string{"unknown, carried: RECORD"}},
		"find strangers": {func(t *testing.T, w *tools) {
			for _, key := range []string{"objects/abc/x", "contents/abc/x", "objectsegments/ab/x",
				"resultholds/abc/x.json"} {
				write(t, w.path("clusters/"+string(cluster)+"/"+key), "")
			}
		}, []string{"object with a key that is not the archive's: clusters/prod/contents/abc/x",
			"object with a key that is not the archive's: clusters/prod/objects/abc/x",
			"object with a key that is not the archive's: clusters/prod/objectsegments/ab/x",
			"object with a key that is not the archive's: clusters/prod/resultholds/abc/x.json"}},
		"find what is left of a Result that was deleted": {func(t *testing.T, w *tools) {
			data := readFile(t, w.path(w.record))
			if err := w.objects.Delete(t.Context(), name, 0); err != nil {
				t.Fatal(err)
			}
			write(t, w.path(w.record), data)
		}, []string{"abandoned object: RECORD", "abandoned object: RESULT", "abandoned object: RESULT2",
			"abandoned object: RESULT2.gone"}},
		"find a hold on what is not there": {func(t *testing.T, w *tools) {
			write(t, w.path(cluster.ResultHold(strings.Repeat("0", 32))), "")
		}, []string{"held, but there is no such Result: clusters/prod/resultholds/000/" + strings.Repeat("0", 32) +
			".json"}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newTools(t)
			test.damage(t, w)
			next := strings.Replace(w.result, "000000001.json", "000000002.json", 1)
			names := strings.NewReplacer(w.result, "RESULT", next, "RESULT2",
				strings.TrimSuffix(next, ".json.gz")+".gone", "RESULT2.gone", w.record, "RECORD", w.log, "LOG",
				w.content, "CONTENT")
			var got []string
			_, err := Check(t.Context(),
				Options{Store: w.store, Cluster: cluster, Now: time.Now().Add(time.Hour), Grace: time.Minute,
					Found: func(f Finding) {
						got = append(got, names.Replace(string(f.Kind)+": "+f.Key))
					}})
			if err != nil {
				t.Fatal(err)
			}
			if slices.Sort(got); !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestTotalsOfWhatToolsWrote(t *testing.T) {
	w := newTools(t)
	got, err := Check(t.Context(),
		Options{Store: w.store, Cluster: cluster, Now: time.Now(), Found: func(f Finding) { t.Error(f) }})
	var bytes int64
	_ = filepath.Walk(w.root, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return err
	})
	if err != nil || got.Objects != 3 || got.Contents != 1 || got.Bytes != bytes {
		t.Errorf("got %+v, %v; want 3 objects, a content and %d bytes", got, err, bytes)
	}
}

// A part of an unknown type is verified as far as possible, and is no damage.
func TestUnknownParts(t *testing.T) {
	for what, test := range map[string]struct {
		part, object string
		want         []string
	}{
		"in the commit": {
			`{"type":"attestation","state":"complete","inline":{}}`, "", []string{"unknown, carried"},
		},
		"with an object": {
			`{"type":"attestation","state":"complete","key":"KEY","stored":{"bytes":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}}`, "hello", []string{"unknown, carried"},
		},
		"with an object that differs": {
			`{"type":"attestation","state":"complete","key":"KEY","stored":{"bytes":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}}`, "hullo", []string{"unknown, carried", "damaged part"},
		},
		"with an object that is gone": {
			`{"type":"attestation","state":"complete","key":"KEY","stored":{"bytes":5,"sha256":"2c"}}`, "",
			[]string{"unknown, carried", "missing part"},
		},
		"that says nothing of its own": {
			`{"type":"attestation","state":"elsewhere","key":"KEY"}`, "hello", []string{"unknown, carried"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			a := newArchive(t)
			key := strings.Replace(a.record, "record.json", "attestation.json", 1)
			commit := gunzipped(t, a.path(a.commit))
			end := strings.LastIndex(commit, "]}")
			write(t, a.path(a.commit), gzipped(t, commit[:end]+","+strings.ReplaceAll(test.part, "KEY", key)+"]}\n"))
			if test.object != "" {
				write(t, a.path(key), test.object)
			}
			var got []string
			totals, err := Check(t.Context(),
				Options{Store: a.store, Cluster: cluster, Now: time.Now().Add(time.Hour),
					Found: func(f Finding) { got = append(got, string(f.Kind)) }})
			if err != nil || !slices.Equal(got, test.want) || totals.Carried != 1 {
				t.Errorf("got %q, %+v, %v; want %q", got, totals, err, test.want)
			}
		})
	}
}

func gunzipped(t *testing.T, path string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(readFile(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The index is compared with what tools wrote.
func TestRowsOfWhatToolsWrote(t *testing.T) {
	w := newTools(t)
	x, err := index.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	check := func() (got []string) {
		t.Helper()
		names := strings.NewReplacer(w.result, "RESULT", w.record, "RECORD", w.log, "LOG")
		if _, err := Check(t.Context(),
			Options{Store: w.store, Cluster: cluster, Now: time.Now(), Grace: time.Hour, Index: x,
				Found: func(f Finding) {
					if strings.Contains(f.Key, "/objects/") || !strings.Contains(f.Key, "/") {
						got = append(got, names.Replace(string(f.Kind)+": "+f.Key))
					}
				}}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := func(got []string, want ...string) {
		t.Helper()
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	want(check(), "commit or object without a row in the index: LOG",
		"commit or object without a row in the index: RECORD", "commit or object without a row in the index: RESULT")
	if _, err := index.Sync(t.Context(), index.SyncOptions{Store: w.store, Index: x, Cluster: cluster}); err != nil {
		t.Fatal(err)
	}
	want(check())
	if err := w.objects.Delete(t.Context(), object.Name{Kind: object.Record, Parent: "team", Result: "r", ID: "x"},
		0); err != nil {
		t.Fatal(err)
	}
	want(check(), "row of the index without a commit or object: RECORD")
}
