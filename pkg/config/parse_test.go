package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

const head = "apiVersion: config.indelible.dev/v1alpha1\nkind: Configuration\n"

func TestExampleFileEqualsDefaults(t *testing.T) {
	got, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Publisher.Image = "indelible-publisher:dev"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsAreThoseOfTheDesign(t *testing.T) {
	want := &Configuration{
		Controllers: []string{"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"},
		Limits:      result.Limits{Result: 1048576, TaskRun: 1310720, Object: 1468416},
		Publisher:   Publisher{PullPolicy: "IfNotPresent", Delivery: "auto", Timeout: 2 * time.Minute},
		Archive: Archive{
			Cluster: "default", Store: "file:///var/lib/indelible/archive",
			Index: "sqlite:///var/lib/indelible/index.db",
			Logs:  "follow", Streams: 200, Keep: nil, Retention: nil,
		},
	}
	if diff := cmp.Diff(want, Default()); diff != "" {
		t.Error(diff)
	}
}

func TestParseAllows(t *testing.T) {
	tests := map[string]struct {
		file string
		want Configuration
	}{
		"allow every field": {
			file: head + `
limits: {result: 100Ki, taskRun: "204800", object: 1.45Mi}
publisher: {image: registry.example/p@sha256:0, pullPolicy: Never, delivery: init-container, timeout: 30m}
`,
			want: Configuration{
				Controllers: []string{DefaultController},
				Limits:      result.Limits{Result: 102400, TaskRun: 204800, Object: 1520436},
				Publisher: Publisher{
					Image: "registry.example/p@sha256:0", PullPolicy: corev1.PullNever, Delivery: "init-container",
					Timeout: 30 * time.Minute,
				},
			},
		},
		"allow a plain number, null fields and JSON": {
			file: `{"apiVersion":"config.indelible.dev/v1alpha1","kind":"Configuration",
"limits":{"result":1,"taskRun":2,"object":3},
"publisher":{"image":"p","pullPolicy":"Always","delivery":"image-volume","timeout":"1ms"}}`,
			want: Configuration{
				Controllers: []string{DefaultController},
				Limits:      result.Limits{Result: 1, TaskRun: 2, Object: 3},
				Publisher: Publisher{
					Image: "p", PullPolicy: "Always", Delivery: "image-volume", Timeout: time.Millisecond,
				},
			},
		},
		"allow comments in documents of their own, and nulls for defaults": {
			file: "# licence\n---\n" + head + "limits: null\npublisher: {image: p, timeout: null}\n---\n# end\n",
			want: Configuration{
				Controllers: []string{DefaultController},
				Limits:      result.Limits{Result: 1048576, TaskRun: 1310720, Object: 1468416},
				Publisher: Publisher{
					Image: "p", PullPolicy: "IfNotPresent", Delivery: "auto", Timeout: 2 * time.Minute,
				},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Archive = Default().Archive // has a test of its own
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseForbids(t *testing.T) {
	image := "publisher: {image: p}\n"
	tests := map[string]struct{ file, want string }{
		"forbid an empty file": {"", "want one YAML document, found 0"},
		"forbid two documents": {head + image + "---\n" + head + image, "want one YAML document, found 2"},
		"forbid a list": {"[a]", "the file must be an object with the fields apiVersion, kind, limits, publisher, " +
			"archive, api\napiVersion must be config.indelible.dev/v1alpha1\nkind must be Configuration\n" +
			"publisher.image is required: the image that holds the publisher"},
		"forbid a field given twice": {
			head + image + image,
			"not valid YAML: yaml: unmarshal errors:\n  line 4: key \"publisher\" already set in map",
		},
		"forbid another version and kind": {
			"apiVersion: v1\nkind: Secret\n" + image,
			"apiVersion must be config.indelible.dev/v1alpha1\nkind must be Configuration",
		},
		"forbid the whole ConfigMap": {
			"apiVersion: v1\nkind: ConfigMap\ndata: {config.yaml: x}\n",
			"this is a ConfigMap: give the content of its key config.yaml instead",
		},
		"forbid a missing image": {head, "publisher.image is required: the image that holds the publisher"},
		"forbid unknown fields at every level": {
			head + "a: 1\nlimits: {results: 1Mi}\npublisher: {image: p, Timeout: 1m}\n",
			"a is not a field; allowed are apiVersion, kind, limits, publisher, archive, api\n" +
				"limits.results is not a field; allowed are result, taskRun, object\n" +
				"publisher.Timeout is not a field; allowed are image, pullPolicy, delivery, timeout, server",
		},
		"forbid values out of a list": {
			head + "publisher: {image: p, pullPolicy: never, delivery: [auto]}\n",
			"publisher.pullPolicy must be one of IfNotPresent, Always, Never\n" +
				"publisher.delivery must be one of auto, image-volume, init-container",
		},
		"forbid an image with white space": {
			head + "publisher: {image: 'p q'}\n", "publisher.image must not contain white space",
		},
		"forbid an empty image":         {head + "publisher: {image: ''}\n", "publisher.image must not be empty"},
		"forbid an image of wrong type": {head + "publisher: {image: 1}\n", "publisher.image must be a string"},
		"forbid a timeout without a unit": {
			head + "publisher: {image: p, timeout: 120}\n", "publisher.timeout must be a duration such as 90s or 2m",
		},
		"forbid no timeout": {
			head + "publisher: {image: p, timeout: 0s}\n",
			"publisher.timeout is 0s, but must be more than 0 and at most 30m",
		},
		"forbid a timeout over 30 minutes": {
			head + "publisher: {image: p, timeout: 30m1s}\n",
			"publisher.timeout is 30m1s, but must be more than 0 and at most 30m",
		},
		"forbid the controllers, which have moved": {
			head + image + "controllers: [a]\n",
			"controllers has moved: it is the key controller of the ConfigMap indelible-config, beside config.yaml, " +
				"from which config/transformers/controller brings it wherever it is needed; delete it here",
		},
		"forbid a limit that is no size": {
			head + image + "limits: {result: 1MB, taskRun: true, object: -1Mi}\n",
			"limits.result must be a size such as 800Ki or 1Mi\nlimits.taskRun must be a size such as 800Ki or 1Mi\n" +
				"limits.object must be a size such as 800Ki or 1Mi",
		},
		"forbid thousandths of bytes, zero and huge limits": {
			head + image + "limits: {result: 1m, taskRun: 0, object: 3Gi}\n",
			"limits.result must be a size such as 800Ki or 1Mi\n" +
				"limits.taskRun must be a size from 1 byte to 2Gi, such as 800Ki or 1Mi\n" +
				"limits.object must be a size from 1 byte to 2Gi, such as 800Ki or 1Mi",
		},
		"forbid a result limit over the TaskRun limit": {
			head + image + "limits: {result: 1.3Mi}\n",
			"limits.result is 1363149 bytes (1.3 MiB), more than the 1310720 bytes (1.25 MiB) of limits.taskRun: lower " +
				"limits.result or raise limits.taskRun",
		},
		"forbid a TaskRun limit over the object limit": {
			head + image + "limits: {taskRun: 1.42Mi}\n",
			"limits.taskRun is 1488978 bytes (1.42 MiB), more than the 1468416 bytes (1.4 MiB) of limits.object: lower " +
				"limits.taskRun or raise limits.object",
		},
		"forbid an object limit that etcd refuses": {
			head + image + "limits: {object: 1.46Mi}\n",
			"limits.object is 1530921 bytes (1.46 MiB), but must be at most 1520436 bytes (1.45 MiB), because etcd refuses " +
				"requests over 1.5 MiB: lower it to 1.45Mi or less",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Parse([]byte(tc.file))
			if err == nil {
				t.Fatalf("allowed: %+v", c)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	if _, err := Load("testdata/absent.yaml"); err == nil || !strings.Contains(err.Error(), "testdata/absent.yaml") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever is in the file, Parse ends, and what it allows is within the documented
// bounds.
func FuzzParse(f *testing.F) {
	f.Add(head + "limits: {result: 1Mi}\npublisher: {image: p}\n")
	f.Add(head + "limits: {result: 1e99999999, taskRun: 1E-400}\npublisher: {image: p, timeout: 1h}\n")
	f.Add("a: &a [*a]")
	f.Add("---\n---\n{}")
	f.Add(withImage + "archive: {cluster: a, store: 's3://b', keep: 1h, streams: 3, retention: [{name: a, after: 1d, " +
		"namespaces: ['*'], selector: a}]}\n")
	f.Add(withImage + "archive: {keep: [{name: a, for: 1d, last: 3, namespaces: ['*'], status: [Failed]}]}\n")
	f.Fuzz(func(t *testing.T, file string) {
		c, err := Parse([]byte(file))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		l, p := c.Limits, c.Publisher
		if l.Result < 1 || l.Result > l.TaskRun || l.TaskRun > l.Object || l.Object > 1520436 {
			t.Errorf("limits %+v", l)
		}
		if p.Image == "" || p.Timeout <= 0 || p.Timeout > 30*time.Minute || len(c.Controllers) == 0 {
			t.Errorf("configuration %+v", c)
		}
		if a := c.Archive; a.Cluster == "" || a.Store == "" || a.Index == "" || a.Streams < 0 || a.Streams > 10000 {
			t.Errorf("archive %+v", a)
		}
		for _, p := range c.Archive.Keep {
			if p.Name == "" || p.For < 0 || p.Last < 0 || p.Last > 10000 {
				t.Errorf("keep policy %+v", p)
			}
		}
		for _, p := range c.Archive.Retention {
			if p.Name == "" || p.After < 0 || p.After == 0 && p.Namespaces == nil && !p.DeletedNamespaces &&
				p.Selector == "" &&
				p.Status == nil {
				t.Errorf("retention policy %+v", p)
			}
		}
	})
}
