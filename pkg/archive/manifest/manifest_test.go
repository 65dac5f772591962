package manifest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	uid = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"
	// printf '{"a":"<é>"}' | sha256sum
	inlineDigest = "6c9c16dcfa514da0d29bfa265370019e7db3cd144e181e3fd69797ad552437d2"
	text         = "ok\t<é>\n"
	textDigest   = "e4a07d22ac5335f16a1d179a8ba353cd3bdd5600fc7f4c6f827e57cfb95ee07d" // printf 'ok\t<é>\n' | sha256sum
	recordKey    = "clusters/prod/parts/2026/11/20/10/" + uid + ".k3v9x2m4q8.record.json.zst"
	commitKey    = "clusters/prod/commits/2026/11/20/10/20261120T104211Z." + uid + ".json.gz"
)

func example() *Commit {
	completed := time.Date(2026, 11, 20, 10, 43, 0, 0, time.UTC)
	return &Commit{
		Cluster: "prod", Versions: Versions{Archiver: "v1", Kubernetes: "v1.36.3"},
		CommittedAt: time.Date(2026, 11, 20, 10, 44, 0, 0, time.UTC),
		Run: Run{
			APIVersion: "tekton.dev/v1", Kind: "TaskRun", Namespace: "team", Name: "build-x7", UID: uid,
			Created: time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC), Completed: &completed, Status: "True",
			Reason: "Succeeded", Result: uid,
		},
		Parts: []Part{
			{Type: Record, State: Complete, Key: recordKey, Content: &Sum{Bytes: 5}, Stored: &Sum{6, "bb"}},
			{Type: Events, State: Complete, Content: &Sum{12, inlineDigest}, Inline: json.RawMessage(`{"a":"<é>"}`)},
			{Type: Log, State: Missing, Reason: "the pod is gone", Container: "step-build", Attempt: 1},
			{
				Type: Log, State: Truncated, Reason: "rotated", Container: "step-test", Content: &Sum{8, textDigest},
				Text: ptr(text),
			},
		},
	}
}

func ptr(s string) *string { return &s }

// The format of existing archives.
func TestEncode(t *testing.T) {
	const want = `{"apiVersion":"archive.indelible.dev/v1","kind":"Commit","cluster":"prod","versions":{"archiver":"v1","kubernetes":"v1.36.3"},"committedAt":"2026-11-20T10:44:00Z",` +
		`"run":{"apiVersion":"tekton.dev/v1","kind":"TaskRun","namespace":"team","name":"build-x7","uid":"` + uid +
		`","created":"2026-11-20T10:42:11Z",` +
		`"completed":"2026-11-20T10:43:00Z","status":"True","reason":"Succeeded","result":"` + uid + `"},"parts":[` +
		`{"type":"record","state":"complete","key":"` + recordKey +
		`","content":{"bytes":5},"stored":{"bytes":6,"sha256":"bb"}},` +
		`{"type":"events","state":"complete","inline":{"a":"<é>"}},` +
		`{"type":"log","state":"missing","reason":"the pod is gone","container":"step-build","attempt":1},` +
		`{"type":"log","state":"truncated","reason":"rotated","container":"step-test","text":"ok\t<é>\n"}]}` + "\n"
	got, err := Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, gunzip(t, got)); diff != "" {
		t.Error(diff)
	}
	back, err := Decode(commitKey, got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), back,
		cmp.Transformer("", func(c Commit) Commit { c.APIVersion, c.Kind = APIVersion, Kind; return c })); diff != "" {
		t.Error(diff)
	}
}

// Archivers before 2026-12 stored the sums of embedded content.
func TestDecodeSums(t *testing.T) {
	object, err := Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		digest string
		want   error
	}{
		"read the sum of the content":  {inlineDigest, nil},
		"refuse that of other content": {textDigest, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			sum := `"content":{"bytes":12,"sha256":"` + test.digest + `"},"inline"`
			old := strings.Replace(gunzip(t, object), `"inline"`, sum, 1)
			if _, err := Decode(commitKey, pack([]byte(old))); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestForbiddenCommits(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Commit)
		want   string
	}{
		"a run without a name":     {func(c *Commit) { c.Run.Name = "" }, "run.name"},
		"a run without a uid":      {func(c *Commit) { c.Run.UID = "" }, "uid"},
		"a cluster that is a path": {func(c *Commit) { c.Cluster = "../prod" }, "cluster"},
		"no parts":                 {func(c *Commit) { c.Parts = nil }, "a complete record"},
		"no record":                {func(c *Commit) { c.Parts = c.Parts[1:] }, "a complete record"},
		"half a record": {
			func(c *Commit) { c.Parts[0].State = Truncated; c.Parts[0].Reason = "r" }, "a complete record",
		},
		"a part of another run": {
			func(c *Commit) { c.Parts[0].Key = strings.Replace(recordKey, uid, "other", 1) }, "another run",
		},
		"a part of another cluster": {
			func(c *Commit) { c.Parts[0].Key = strings.Replace(recordKey, "prod", "test", 1) }, "another run",
		},
		"a part without a digest":     {func(c *Commit) { c.Parts[0].Stored = nil }, "required"},
		"a missing log and no reason": {func(c *Commit) { c.Parts[2].Reason = "" }, "has a reason"},
		"a missing log with a key":    {func(c *Commit) { c.Parts[2].Key = recordKey }, "no key"},
		"a state that is none":        {func(c *Commit) { c.Parts[2].State = "lost" }, "state"},
		"a type that is none":         {func(c *Commit) { c.Parts[2].Type = "lost" }, "type"},
		"other events than the sum's": {
			func(c *Commit) { c.Parts[1].Inline = json.RawMessage(`{"a":"b"}`) }, "events is 9 bytes",
		},
		"other text than the sum's": {func(c *Commit) { c.Parts[3].Text = ptr("no") }, "log is 2 bytes"},
		"a log that is JSON": {
			func(c *Commit) { c.Parts[3].Text, c.Parts[3].Inline = nil, c.Parts[1].Inline },
			"a log in the commit is text",
		},
		"events that are text": {
			func(c *Commit) { c.Parts[1].Text = c.Parts[3].Text }, "a log in the commit is text",
		},
		"a missing log with text":     {func(c *Commit) { c.Parts[2].Text = c.Parts[3].Text }, "no content"},
		"text that has a key, too":    {func(c *Commit) { c.Parts[3].Key = recordKey }, "no key"},
		"events that have a key, too": {func(c *Commit) { c.Parts[1].Key = recordKey }, "no key"},
		"a megabyte of reasons": {
			func(c *Commit) { c.Parts[2].Reason = strings.Repeat("r", MaxCommit) }, "more than 1048576",
		},
	} {
		t.Run("forbid "+name, func(t *testing.T) {
			c := example()
			test.change(c)
			if _, err := Encode(c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// An embedded log is returned byte for byte. A log that JSON cannot represent or that is large is
// not embedded.
func TestSetText(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		room    int
		want    int // bytes of JSON
	}{
		"an empty log": {"", 1000, 2},
		"lines":        {"a\nb\n", 1000, 8},
		"colours, NUL, quotes, a separator and é": {"\x1b[1m\x00\"\u2028é", 1000, 27},
		"as much as may be":                       {strings.Repeat("x", MaxText), MaxTexts, MaxText + 2},
		"not more":                                {strings.Repeat("x", MaxText+1), MaxTexts, 0},
		"not what is no UTF-8":                    {"a\xffb", 1000, 0},
		"as much as there is room for":            {"abc", 5, 5},
		"not more than there is room for":         {"abc", 4, 0},
	} {
		t.Run("take "+name, func(t *testing.T) {
			p := Part{Type: Log, State: Complete, Container: "step-a"}
			if got := p.SetText([]byte(test.content), test.room); got != test.want {
				t.Fatalf("%d bytes, want %d", got, test.want)
			}
			if test.want == 0 {
				if p.isEmbedded() || p.Content != nil {
					t.Errorf("part is %+v", p)
				}
				return
			}
			c := example()
			c.Parts = append(c.Parts, p)
			data, err := Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(commitKey, data)
			if err != nil {
				t.Fatal(err)
			}
			content, err := Open(t.Context(), nil, &back.Parts[4])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(content); err != nil || string(got) != test.content {
				t.Errorf("%q came back, %v", got, err)
			}
		})
	}
}

func TestForbiddenObjects(t *testing.T) {
	good, err := Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ key, data, want string }{
		"an empty object":        {commitKey, "", "EOF"},
		"half a commit":          {commitKey, string(good[:len(good)/2]), "unexpected EOF"},
		"two commits":            {commitKey, string(good) + string(good), "after top-level value"},
		"a commit and something": {commitKey, string(good) + "x", "unexpected EOF"},
		"a changed byte": {
			commitKey, string(good[:100]) + string([]byte{good[100] ^ 1}) + string(good[101:]), "unpack",
		},
		"another run's commit": {strings.Replace(commitKey, uid, "other", 1), string(good), "another run"},
		"another kind":         {commitKey, packed(t, `{"apiVersion":"v1","kind":"List"}`), "kind"},
		"a later format's version": {
			commitKey, packed(t, strings.Replace(gunzip(t, good), "indelible.dev/v1", "indelible.dev/v2", 1)),
			ErrVersion.Error(),
		},
		"two megabytes of zeros": {commitKey, packed(t, strings.Repeat("0", 2<<20)), "more than 1048576"},
	} {
		t.Run("forbid "+name, func(t *testing.T) {
			if _, err := Decode(test.key, []byte(test.data)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// An object is one Zstandard stream, and digests are those of sha256sum.
func TestStoreAndOpen(t *testing.T) {
	root := t.TempDir()
	s := directory(t, root)
	for name, content := range map[string]string{"empty": "", "short": "hello\n",
		"long": strings.Repeat("a line of a log\n", 1<<18), "one-member": strings.Repeat("x", memberBytes),
		"one-and-a-byte": strings.Repeat("x", memberBytes+1), "noise": noise(3 * memberBytes)} {
		t.Run(name, func(t *testing.T) {
			key := strings.Replace(recordKey, "record", name, 1)
			raw, stored, err := Store(t.Context(), s, key, strings.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			object, err := os.ReadFile(filepath.Join(root, key))
			if err != nil {
				t.Fatal(err)
			}
			if want := (Sum{Bytes: int64(len(content))}); raw != want {
				t.Errorf("content: got %+v, want %+v", raw, want)
			}
			if want := (Sum{int64(len(object)), digest(object)}); stored != want {
				t.Errorf("stored: got %+v, want %+v", stored, want)
			}
			stream, err := zstd.NewReader(bytes.NewReader(object))
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			if got, err := io.ReadAll(stream); err != nil || string(got) != content {
				t.Errorf("a reader of Zstandard reads %d bytes, %v", len(got), err)
			}
			part := &Part{Type: Record, State: Complete, Key: key, Content: &raw, Stored: &stored}
			if err := errors.Join(Verify(t.Context(), s, part), VerifyStored(t.Context(), s, part)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Parts as the first archivers wrote them, made with the standard library.
func TestOpenGzip(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{"short": "hello\n",
		"long": strings.Repeat("a line of a log\n", 1<<16)} {
		t.Run(name, func(t *testing.T) {
			var object bytes.Buffer
			for rest := content; rest != ""; {
				n := min(len(rest), memberBytes)
				member := gzipMember(t, rest[:n])
				object.Write(member)
				rest = rest[n:]
			}
			key := strings.TrimSuffix(strings.Replace(recordKey, "record", name, 1), ".zst") + ".gz"
			path := filepath.Join(root, key)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750),
				os.WriteFile(path, object.Bytes(), 0o600)); err != nil {
				t.Fatal(err)
			}
			part := &Part{Type: Record, State: Complete, Key: key, Content: &Sum{Bytes: int64(len(content))},
				Stored: &Sum{int64(object.Len()), digest(object.Bytes())}}
			from, err := Open(t.Context(), directory(t, root), part)
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			if got, err := io.ReadAll(from); err != nil || string(got) != content {
				t.Errorf("read %d bytes of %d, %v", len(got), len(content), err)
			}
		})
	}
}

// gzipMember returns a member with its size in the extra field IN.
func gzipMember(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Extra = []byte{'I', 'N', 4, 0, 0, 0, 0, 0}
	_, err := io.WriteString(z, content)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[16:], uint32(b.Len()))
	return b.Bytes()
}

func TestVerifyFindsDamage(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 4096)
	for name, damage := range map[string]func(object []byte) []byte{
		"a changed byte":        func(o []byte) []byte { o[len(o)/2] ^= 1; return o },
		"a lost end":            func(o []byte) []byte { return o[:len(o)-9] },
		"an empty object":       func([]byte) []byte { return nil },
		"something after it":    func(o []byte) []byte { return append(o, 0) },
		"a second member":       func(o []byte) []byte { return append(o, o...) },
		"other content, packed": func([]byte) []byte { return []byte(packed(t, strings.Repeat("x", len(content)))) },
		"the same, packed anew": func([]byte) []byte { return []byte(packed(t, content)) },
	} {
		t.Run("find "+name, func(t *testing.T) {
			root := t.TempDir()
			s := directory(t, root)
			raw, stored, err := Store(t.Context(), s, recordKey, strings.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, recordKey)
			object, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(object), 0o600); err != nil {
				t.Fatal(err)
			}
			part := &Part{Type: Record, State: Complete, Key: recordKey, Content: &raw, Stored: &stored}
			if err := Verify(t.Context(), s, part); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
			if err := VerifyStored(t.Context(), s, part); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
	part := &Part{Type: Record, State: Complete, Key: recordKey, Content: &Sum{}, Stored: &Sum{}}
	if err := Verify(t.Context(), directory(t, t.TempDir()), part); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("no object: got %v, want ErrNotExist", err)
	}
}

func TestStoreFails(t *testing.T) {
	s := directory(t, t.TempDir())
	broken := errors.New("the kubelet hung up")
	if _, _, err := Store(t.Context(), s, recordKey,
		io.MultiReader(strings.NewReader("half"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := s.Open(t.Context(), recordKey); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("got %v, want nothing stored", err)
	}
	for _, want := range []error{nil, store.ErrExists} {
		if _, _, err := Store(t.Context(), s, recordKey,
			strings.NewReader(strings.Repeat("x", 1<<22))); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func directory(t *testing.T, root string) store.Store {
	t.Helper()
	d, err := store.NewDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func gunzip(t *testing.T, object []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func packed(t *testing.T, content string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// noise returns content that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(b)
	return string(b)
}
