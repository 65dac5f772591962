package result

import "testing"

func TestSizePrintsBytesAndTheNearestUnit(t *testing.T) {
	for _, c := range []struct {
		name string
		size Size
		want string
	}{
		{"nothing", 0, "0 bytes"},
		{"less than a unit stays bytes", 1023, "1023 bytes"},
		{"a whole KiB", 1024, "1024 bytes (1 KiB)"},
		{"a part of a KiB has two digits", 1290, "1290 bytes (1.26 KiB)"},
		{"the limit of one result", DefaultResultLimit, "1048576 bytes (1 MiB)"},
		{"the limit of all results", DefaultTaskRunLimit, "1310720 bytes (1.25 MiB)"},
		{"the limit of the object", DefaultObjectLimit, "1468416 bytes (1.4 MiB)"},
		{"a byte over a MiB is still a MiB", 1<<20 + 1, "1048577 bytes (1 MiB)"},
		{"a GiB", 3 << 30, "3221225472 bytes (3 GiB)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.size.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDefaultLimitsStayBelowWhatEtcdAccepts(t *testing.T) {
	const etcd = 3 << 19 // --max-request-bytes of etcd, 1.5 MiB
	l := DefaultLimits()
	if l.Result > l.TaskRun || l.TaskRun > l.Object || l.Object >= etcd {
		t.Errorf("limits %+v are not in order below %d", l, etcd)
	}
}
