package pack

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const (
	someUUID   = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"
	someDigest = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
)

// What is stored of texts.
func TestShorten(t *testing.T) {
	for name, test := range map[string]struct {
		text, short string
		values      int
	}{
		"nothing":               {"", "", 0},
		"a text without values": {`{"a":"cafe"}`, `{"a":"cafe"}`, 0},
		"a UID":                 {`{"uid":"` + someUUID + `"}`, "{\"uid\":\"\x02\"}", 16},
		"a digest":              {"sha256:" + someDigest + ",", "sha256:\x03\x20,", 32},
		"a value that comes again": {someUUID + "/" + someDigest + "/" + someUUID + "." + someDigest,
			"\x02/\x03\x20/\x04\x00.\x04\x01", 48},
		"an odd number of digits":          {someDigest + "abc", "\x03\x21c", 33},
		"upper case":                       {strings.ToUpper(someDigest), strings.ToUpper(someDigest), 0},
		"as many digits as a UUID is long": {someDigest[:37], "\x03\x11" + someDigest[34:37], 17},
		"too few digits":                   {someDigest[:31], someDigest[:31], 0},
		"very many digits":                 {strings.Repeat(someDigest, 8), "\x03\xff" + "a4", 255},
		"a text with marks in it":          {"\x02" + someUUID, "\x01\x02" + someUUID, 0},
	} {
		t.Run(name, func(t *testing.T) {
			short, values := Shorten([]byte(test.text))
			if string(short) != test.short || len(values) != test.values {
				t.Errorf("got %q and %d bytes, want %q and %d", short, len(values), test.short, test.values)
			}
		})
	}
}

func TestKnownTextsAreNotStored(t *testing.T) {
	known := []string{someUUID, "build-x7", "", "abc"}
	short, values := Shorten([]byte("build-x7 "+someUUID+" abc "+someDigest+" "+someDigest), known...)
	if want := "\x04\x01 \x04\x00 abc \x03\x20 \x04\x04"; string(short) != want || len(values) != 32 {
		t.Errorf("got %q and %d bytes, want %q and 32", short, len(values), want)
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte(`{"uid":"` + someUUID + `","d":"` + someDigest + someDigest[:9] + `"}`))
	f.Add([]byte(strings.Repeat(someDigest+",", 300)))
	f.Add([]byte("\x01\x02\x03\x04"))
	f.Add([]byte(strings.Repeat("0", 37)))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, known := range [][]string{nil, {someUUID, "", someDigest[:9], "team"}, {string(text), "\x01\x04"}} {
			got, err := Unpack(Pack(text, known...), known...)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("with %q: %q becomes %q, %v", known, text, got, err)
			}
		}
	})
}

// Damaged data causes an error and nothing else.
func FuzzUnpack(f *testing.F) {
	good := Pack([]byte(`{"uid":"` + someUUID + `","d":"` + someDigest + `"}`))
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Unpack(data); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}

func TestUnpackFindsDamage(t *testing.T) {
	text := []byte(`{"kind":"TaskRun","uid":"` + someUUID + `","message":"` + strings.Repeat("some words ", 20) + `"}`)
	good := Pack(text)
	for i := range good {
		if i > 0 && i <= 16 {
			continue // the values have no checksum; the commit has the record's digest
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if got, err := Unpack(bad); err == nil && !bytes.Equal(got, text) { // a larger window makes no difference
			t.Errorf("byte %d is changed, and nobody notices", i)
		}
		if _, err := Unpack(good[:i]); err == nil {
			t.Errorf("it is cut at %d, and nobody notices", i)
		}
	}
}
