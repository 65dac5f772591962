package manifest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// A later version's additions are read and preserved.
func TestLaterPrograms(t *testing.T) {
	for name, test := range map[string]struct{ old, later string }{
		"a field of the commit":   {`"cluster":"prod"`, `"cluster":"prod","signature":{"by":"kim"}`},
		"a field of the run":      {`"namespace":"team"`, `"namespace":"team","labels":{"a":"<b>"}`},
		"a field of the versions": {`"archiver":"v1"`, `"archiver":"v1","go":"1.30"`},
		"a field of a part":       {`"container":"step-build"`, `"container":"step-build","exitCode":3`},
		"another digest":          {`"sha256":"bb"`, `"sha256":"bb","blake3":"cc"`},
		"a type of parts, in the commit": {
			`],"x"`, `,{"type":"attestation","state":"complete","content":{"bytes":2,"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"inline":{}}],"x"`,
		},
		"a type of parts, with any key": {
			`],"x"`, `,{"type":"attestation","state":"complete","key":"clusters/prod/blobs/1","stored":{"bytes":9,"sha256":"dd"}}],"x"`,
		},
		"a type of parts, with rules of its own": {
			`],"x"`, `,{"type":"attestation","state":"missing","key":"blobs/1","text":"t"}],"x"`,
		},
		"a state of parts":   {`"state":"missing"`, `"state":"elsewhere","where":"s3"`},
		"a field and a part": {`],"x"`, `,{"type":"a","state":"complete"}],"y":1,"x"`},
	} {
		t.Run("carry "+name, func(t *testing.T) {
			text := exampleText(t)
			text = strings.TrimSuffix(text, "}\n") + `,"x":1}` + "\n"
			later := strings.Replace(text, test.old, test.later, 1)
			if later == text {
				t.Fatalf("%s is not in %s", test.old, text)
			}
			c, err := Decode(commitKey, pack([]byte(later)))
			if err != nil {
				t.Fatal(err)
			}
			bare, err := EncodeBare(c)
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeBare(commitKey, bare)
			if err != nil {
				t.Fatal(err)
			}
			if bare2, err := EncodeBare(again); err != nil || !sameValue(t, bare, bare2) {
				t.Errorf("copied twice: %v\n%s\n%s", err, bare, bare2)
			}
			if !sameValue(t, bare, []byte(withoutInline(t, later))) {
				t.Errorf("carried %s\nwant %s", bare, withoutInline(t, later))
			}
		})
	}
}

func TestLaterProgramsAreRefusedOnlyWhereTheyMustBe(t *testing.T) {
	for name, test := range map[string]struct {
		old, later string
		want       error
	}{
		"an apiVersion of later": {
			`archive.indelible.dev/v1"`, `archive.indelible.dev/v2"`, ErrVersion,
		},
		"an unknown part that is not what it was": {`"type":"events"`, `"type":"attestation"`, nil},
		"an unknown part that was changed": {
			`"type":"events"`, `"type":"attestation","inline":{"a":"x"},"was"`, ErrDamaged,
		},
		"a part without a type":  {`"type":"events"`, `"type":""`, ErrDamaged},
		"a part without a state": {`"state":"missing"`, `"state":""`, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(exampleText(t), test.old, test.later, 1)
			if errors.Is(test.want, ErrDamaged) && strings.Contains(test.later, "was") {
				text = strings.Replace(exampleText(t), `"type":"events"`, `"type":"attestation"`, 1)
				text = strings.Replace(text, `{"a":"<é>"}`, `{"a":"<e>"}`, 1)
			}
			if _, err := Decode(commitKey, pack([]byte(text))); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// exampleText is the example with the sums of embedded content, which a bare commit has as well.
func exampleText(t *testing.T) string {
	t.Helper()
	data, err := Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		`"inline":{"a"`, `"content":{"bytes":12,"sha256":"`+inlineDigest+`"},"inline":{"a"`,
		`"text":"ok`, `"content":{"bytes":8,"sha256":"`+textDigest+`"},"text":"ok`,
	).Replace(gunzip(t, data))
}

func sameValue(t *testing.T, a, b []byte) bool {
	t.Helper()
	var left, right any
	if err := errors.Join(json.Unmarshal(a, &left), json.Unmarshal(b, &right)); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(left)
	y, _ := json.Marshal(right)
	return string(x) == string(y)
}

// withoutInline removes what a bare commit does not have.
func withoutInline(t *testing.T, text string) string {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	for _, p := range c["parts"].([]any) {
		delete(p.(map[string]any), "inline")
		delete(p.(map[string]any), "text")
	}
	bare, _ := json.Marshal(c)
	return string(bare)
}
