package manifest

import (
	"errors"
	"strings"
	"testing"
)

func TestFitsInline(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	for name, tt := range map[string]struct {
		content string
		want    bool
	}{
		"a usual object":                 {`{"a":{"b":[1,2,{"c":null}]}}`, true},
		"a scalar":                       {`1`, true},
		"as deep as may be":              {nested(MaxInlineDepth), true},
		"deeper":                         {nested(MaxInlineDepth + 1), false},
		"many shallow ones":              {"[" + strings.Repeat("[],", MaxInlineDepth) + "[]]", true},
		"brackets in a string":           {`"` + strings.Repeat("[", MaxInlineDepth+1) + `"`, true},
		"brackets after an escape":       {`["\"` + strings.Repeat("[", MaxInlineDepth+1) + `"]`, true},
		"a string that ends in a escape": {`["\\",` + nested(MaxInlineDepth) + `]`, false},
		"too large":                      {`"` + strings.Repeat("x", MaxInline) + `"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := FitsInline([]byte(tt.content)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeCannotRead(t *testing.T) {
	c := example()
	c.Parts[0] = InlinePart(Record, []byte(strings.Repeat("[", 9_998)+strings.Repeat("]", 9_998)))
	if _, err := Encode(c); !errors.Is(err, ErrInvalid) || !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestBytesOfACommit(t *testing.T) {
	c := example()
	text, long := "x", strings.Repeat("x", 1000)
	for name, p := range map[string]*string{"a short text": &text, "a long text": &long} {
		c.Parts[0] = InlinePart(Record, []byte(`{}`))
		part := Part{Type: Log, State: Complete, Container: "step-a"}
		part.SetText([]byte(*p), MaxTexts)
		c.Parts = append(c.Parts[:1], part)
		whole, err := encode(c, false)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := EncodeBare(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Bytes(); err != nil || got != max(len(whole), len(bare)) {
			t.Errorf("%s: %d, %v; whole %d, bare %d", name, got, err, len(whole), len(bare))
		}
	}
}
