package podlog

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestUnstamped(t *testing.T) {
	const at = "2026-11-20T10:42:11.000000001Z "
	long := strings.Repeat("x", 200_000)
	for name, test := range map[string]struct {
		in, want string
		err      error
	}{
		"nothing":                         {"", "", nil},
		"lines":                           {at + "one\n" + at + "two\n", "one\ntwo\n", nil},
		"an empty line":                   {at + "\n" + at + "\n", "\n\n", nil},
		"a last line without an end":      {at + "one\n" + at + "two", "one\ntwo", nil},
		"a line that is longer than any":  {at + long + "\n" + at + "two\n", long + "\ntwo\n", nil},
		"a line that looks like a stamp":  {at + at + "one\n", at + "one\n", nil},
		"a time zone":                     {"2026-11-20T10:42:11.000000001+01:00 one\n", "one\n", nil},
		"the kubelet's own words":         {"unable to retrieve container logs\n", "", ErrNoStamp},
		"its words after some lines":      {at + "one\nfailed to watch\n", "one\n", ErrNoStamp},
		"a stamp that nothing comes from": {"2026-11-20T10:42:11.000000001Z", "", ErrNoStamp},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader} {
			t.Run(name+" "+how, func(t *testing.T) {
				got, err := io.ReadAll(NewUnstamped(reader(strings.NewReader(test.in))))
				if string(got) != test.want || !errors.Is(err, test.err) {
					t.Errorf("got %d bytes, %v; want %d, %v", len(got), err, len(test.want), test.err)
				}
			})
		}
	}
	lines := NewUnstamped(strings.NewReader("2026-11-20T10:42:11Z one\n2026-11-20T10:42:13Z two\n"))
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatal(err)
	}
	if lines.First.Format(time.RFC3339) != "2026-11-20T10:42:11Z" ||
		lines.last.Format(time.RFC3339) != "2026-11-20T10:42:13Z" {
		t.Errorf("first %s, last %s", lines.First, lines.last)
	}
}

// Any content comes out unchanged.
func FuzzUnstamped(f *testing.F) {
	f.Add("one\ntwo\n")
	f.Add("no end")
	f.Add("\n\n\r\n\x00 ")
	f.Fuzz(func(t *testing.T, log string) {
		var stamped strings.Builder
		for line := range strings.Lines(log) {
			stamped.WriteString("2026-11-20T10:42:11.000000001Z " + line)
		}
		got, err := io.ReadAll(NewUnstamped(strings.NewReader(stamped.String())))
		if err != nil || string(got) != log {
			t.Errorf("got %q, %v, want %q", got, err, log)
		}
	})
}
