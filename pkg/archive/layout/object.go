package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Objects are what tools write: Results, and Records and Logs under them. All of a Result, its
// tree, has one beginning, a hash of its name, as who asks for it by name does not know when it was
// created.
//
//	clusters/<cluster>/objects/3fa/<tree>.result.<epoch>.<number>.json.gz             a generation of a Result
//	clusters/<cluster>/objects/3fa/<tree>.under.<epoch>.record.<id>.<number>.json.gz  one of a Record
//	clusters/<cluster>/objects/3fa/<tree>.under.<epoch>.log.<id>.<number>.json.gz     one of a Log
//	clusters/<cluster>/objects/3fa/<as these>.<number>.gone                           it says that this is a tombstone
//	clusters/<cluster>/contents/3fa/<tree>.<epoch>.<id>.<number>.<writer>.zst         the content of a large Log
//	clusters/<cluster>/objectsegments/3f/<writer>.<which>.<cut>.<objects>.jsonl.gz    copies of many generations, a cache
//	clusters/<cluster>/resultholds/3fa/<tree>.json                                    while it is there, the tree is not deleted
//	clusters/<cluster>/resultdeletions/3fa/<tree>.<writer>                            while it is there, the tree is being deleted
//
// The epoch counts how often the Result was deleted: so what is under one that was deleted is told
// by its key from what is under its successor, and no key is ever used again.

// Kind says what an object is.
type Kind string

// Kinds of objects.
const (
	ResultKind Kind = "Result"
	RecordKind Kind = "Record"
	LogKind    Kind = "Log"
)

// ObjectName is a Result's name, or a Record's or Log's.
type ObjectName struct {
	Kind Kind
	// Parent and Result are a Result's name. ID is empty for a Result.
	Parent, Result, ID string
}

// maxName bounds each part of a name, in bytes: as Kubernetes does.
const maxName = 253

// Check says what is wrong with a name.
func (n ObjectName) Check() error {
	switch n.Kind {
	case ResultKind:
		if n.ID != "" {
			return errors.New("a Result has no id")
		}
	case RecordKind, LogKind:
		if err := checkSegment("id", n.ID); err != nil {
			return err
		}
	default:
		return fmt.Errorf("kind %q is not one of %s, %s, %s", n.Kind, ResultKind, RecordKind, LogKind)
	}
	return errors.Join(checkSegment("parent", n.Parent), checkSegment("result", n.Result))
}

func checkSegment(what, text string) error {
	if text == "" || len(text) > maxName || strings.ContainsAny(text, "/\x00") {
		return fmt.Errorf("%s: must have 1 to %d bytes, and no slash", what, maxName)
	}
	return nil
}

// String returns the name as Tekton Results has it.
func (n ObjectName) String() string {
	name := n.Parent + "/results/" + n.Result
	switch n.Kind {
	case RecordKind:
		return name + "/records/" + n.ID
	case LogKind:
		return name + "/logs/" + n.ID
	}
	return name
}

// hashDigits is how much of a SHA-256 is in keys: 128 bits.
const hashDigits = 32

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:hashDigits]
}

// Tree is what the keys of all that belongs to the Result have in them.
func (n ObjectName) Tree() string { return hashOf(n.Parent + "/results/" + n.Result) }

// maxNumber bounds epochs and numbers: they have nine digits in keys, so that keys sort by them.
const maxNumber = 999_999_999

// ObjectKey is what the key of a generation says.
type ObjectKey struct {
	Tree string
	Kind Kind
	// ID is a hash of the ID, empty for a Result.
	ID string
	// Epoch is how often the Result was deleted before, Number counts the generations from 1.
	Epoch, Number int64
	// Gone is of the mark that says that this generation is a tombstone.
	Gone bool
}

// Generation is both numbers in one, which orders all generations of a name.
func (k ObjectKey) Generation() int64 { return k.Epoch*(maxNumber+1) + k.Number }

// SetGeneration is the reverse.
func (k *ObjectKey) SetGeneration(generation int64) {
	k.Epoch, k.Number = generation/(maxNumber+1), generation%(maxNumber+1)
}

// KeyOf returns the key of a name without its numbers.
func (n ObjectName) KeyOf() ObjectKey {
	k := ObjectKey{Tree: n.Tree(), Kind: n.Kind}
	if n.Kind != ResultKind {
		k.ID = hashOf(n.ID)
	}
	return k
}

// Extensions of generations, and of the marks that say that one is a tombstone.
const (
	ObjectExtension = ".json.gz"
	GoneExtension   = ".gone"
)

// Objects returns what all objects of the cluster begin with.
func (c Cluster) Objects() string { return root + string(c) + "/objects/" }

// ObjectsIn returns what those objects begin with whose tree begins with some hexadecimal digits,
// at most three.
func (c Cluster) ObjectsIn(digits string) string { return c.Objects() + digits }

// ObjectsOf returns what all objects of a tree begin with: the Result's keys come first.
func (c Cluster) ObjectsOf(tree string) string {
	return c.Objects() + folderOf(tree) + "/" + tree + "."
}

// Under returns what the objects under a Result begin with, of whatever epoch.
func (c Cluster) Under(tree string) string { return c.ObjectsOf(tree) + "under." }

func folderOf(tree string) string { return tree[:3] }

// Generations returns what the generations of an object begin with: of a Result those of all
// epochs, of others those of the key's.
func (c Cluster) Generations(k ObjectKey) string {
	if k.Kind == ResultKind {
		return c.ObjectsOf(k.Tree) + "result."
	}
	return fmt.Sprintf("%s%0*d.%s.%s.", c.Under(k.Tree), numberDigits, k.Epoch, strings.ToLower(string(k.Kind)), k.ID)
}

// Object returns the key of a generation.
func (c Cluster) Object(k ObjectKey) (string, error) {
	if k.Number < 1 || k.Number > maxNumber || k.Epoch < 0 || k.Epoch > maxNumber {
		return "", fmt.Errorf("generation %d of epoch %d: must be from 1, and 0, to %d", k.Number, k.Epoch, maxNumber)
	}
	extension := ObjectExtension
	if k.Gone {
		extension = GoneExtension
	}
	below := c.Generations(k)
	if k.Kind == ResultKind {
		below += fmt.Sprintf("%0*d.", numberDigits, k.Epoch)
	}
	return fmt.Sprintf("%s%0*d%s", below, numberDigits, k.Number, extension), nil
}

var objectName = regexp.MustCompile(`^([0-9a-f]{32})\.(?:result\.([0-9]{9})|under\.([0-9]{9})\.(record|log)\.([0-9a-f]{32}))\.([0-9]{9})\.(json\.gz|gone)$`)

// ParseObject is the reverse of Object.
func ParseObject(key string) (Cluster, ObjectKey, error) {
	cluster, rest, err := split(key, "objects")
	if err != nil {
		return "", ObjectKey{}, err
	}
	_, name := cutLast(rest)
	match := objectName.FindStringSubmatch(name)
	if match == nil {
		return "", ObjectKey{}, fmt.Errorf("key %s is not that of an object", key)
	}
	k := ObjectKey{Tree: match[1], Kind: ResultKind, ID: match[5], Gone: match[7] == "gone"}
	switch match[4] {
	case "record":
		k.Kind = RecordKind
	case "log":
		k.Kind = LogKind
	}
	k.Epoch, _ = strconv.ParseInt(match[2]+match[3], 10, 64) // nine digits
	k.Number, _ = strconv.ParseInt(match[6], 10, 64)
	if again, err := cluster.Object(k); err != nil || again != key {
		return "", ObjectKey{}, errors.Join(fmt.Errorf("key %s is not that of an object", key), err)
	}
	return cluster, k, nil
}

// Contents returns what the contents of all large Logs of the cluster begin with.
func (c Cluster) Contents() string { return root + string(c) + "/contents/" }

// ContentsOf returns what the contents of a tree begin with.
func (c Cluster) ContentsOf(tree string) string {
	return c.Contents() + folderOf(tree) + "/" + tree + "."
}

// Content returns the key of the content of a Log's generation. writer is random, as that of parts
// is. A Log that met another writer may name one of an earlier number.
func (c Cluster) Content(k ObjectKey, writer string) (string, error) {
	if !writerText.MatchString(writer) {
		return "", fmt.Errorf("writer %q: must be 8 to 32 lower-case letters and digits", writer)
	}
	if k.Kind != LogKind {
		return "", fmt.Errorf("content of a %s: only a %s has one", k.Kind, LogKind)
	}
	if _, err := c.Object(k); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%0*d.%s.%0*d.%s%s", c.ContentsOf(k.Tree), numberDigits, k.Epoch, k.ID, numberDigits, k.Number, writer, partExtension), nil
}

var contentName = regexp.MustCompile(`^([0-9a-f]{32})\.([0-9]{9})\.([0-9a-f]{32})\.([0-9]{9})\.([a-z0-9]{8,32})\.zst$`)

// ParseContent is the reverse of Content.
func ParseContent(key string) (Cluster, ObjectKey, string, error) {
	cluster, rest, err := split(key, "contents")
	if err != nil {
		return "", ObjectKey{}, "", err
	}
	_, name := cutLast(rest)
	match := contentName.FindStringSubmatch(name)
	if match == nil {
		return "", ObjectKey{}, "", fmt.Errorf("key %s is not that of a content", key)
	}
	k := ObjectKey{Tree: match[1], Kind: LogKind, ID: match[3]}
	k.Epoch, _ = strconv.ParseInt(match[2], 10, 64) // nine digits
	k.Number, _ = strconv.ParseInt(match[4], 10, 64)
	if again, err := cluster.Content(k, match[5]); err != nil || again != key {
		return "", ObjectKey{}, "", errors.Join(fmt.Errorf("key %s is not that of a content", key), err)
	}
	return cluster, k, match[5], nil
}

// BucketDigits is how many digits of trees tell what segment has their objects.
const BucketDigits = 2

// ObjectSegments returns what all segments of objects begin with.
func (c Cluster) ObjectSegments() string { return root + string(c) + "/objectsegments/" }

// ObjectSegmentsIn returns what those begin with that have the objects of trees that begin with two
// digits.
func (c Cluster) ObjectSegmentsIn(digits string) string { return c.ObjectSegments() + digits + "/" }

// ObjectSegmentKey is what the key of such a segment says.
type ObjectSegmentKey struct {
	// Digits are those that the trees begin with.
	Digits string
	// Writer is random. Which counts the segments of one writer from 0: they have the objects in
	// the order of their keys.
	Writer string
	Which  int
	// Cut is the time, in seconds, up to which generations were stored that are in it, if they were
	// the newest.
	Cut time.Time
	// Objects is how many those were.
	Objects int
}

// ObjectSegment returns the key of a segment.
func (c Cluster) ObjectSegment(s ObjectSegmentKey) (string, error) {
	key := fmt.Sprintf("%s%s.%04d.%010d.%d%s", c.ObjectSegmentsIn(s.Digits), s.Writer, s.Which, s.Cut.Unix(), s.Objects, segmentExtension)
	_, _, err := ParseObjectSegment(key)
	return key, err
}

var objectSegmentName = regexp.MustCompile(`^([0-9a-f]{2})/([a-z0-9]{8,32})\.([0-9]{4})\.([0-9]{10})\.([0-9]{1,9})\.jsonl\.gz$`)

// ParseObjectSegment is the reverse of ObjectSegment.
func ParseObjectSegment(key string) (Cluster, ObjectSegmentKey, error) {
	cluster, rest, err := split(key, "objectsegments")
	if err != nil {
		return "", ObjectSegmentKey{}, err
	}
	match := objectSegmentName.FindStringSubmatch(rest)
	if match == nil {
		return "", ObjectSegmentKey{}, fmt.Errorf("key %s is not that of a segment of objects", key)
	}
	s := ObjectSegmentKey{Digits: match[1], Writer: match[2]}
	s.Which, _ = strconv.Atoi(match[3]) // they are digits, and few
	cut, _ := strconv.ParseInt(match[4], 10, 64)
	s.Cut = time.Unix(cut, 0).UTC()
	s.Objects, _ = strconv.Atoi(match[5])
	return cluster, s, nil
}

// ResultHolds returns what the holds on Results begin with.
func (c Cluster) ResultHolds() string { return root + string(c) + "/resultholds/" }

// ResultHold returns the key of the hold on a Result.
func (c Cluster) ResultHold(tree string) string {
	return c.ResultHolds() + folderOf(tree) + "/" + tree + holdExtension
}

var treeText = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ParseResultHold is the reverse of ResultHold.
func ParseResultHold(key string) (Cluster, string, error) {
	cluster, rest, err := split(key, "resultholds")
	if err != nil {
		return "", "", err
	}
	_, name := cutLast(rest)
	tree := strings.TrimSuffix(name, holdExtension)
	if !treeText.MatchString(tree) || cluster.ResultHold(tree) != key {
		return "", "", fmt.Errorf("key %s is not that of a hold on a Result", key)
	}
	return cluster, tree, nil
}

// ResultDeletions returns what the marks of deletions of Results begin with.
func (c Cluster) ResultDeletions() string { return root + string(c) + "/resultdeletions/" }

// ResultDeletionsOf returns what the marks begin with that say that something of a tree is being
// deleted.
func (c Cluster) ResultDeletionsOf(tree string) string {
	return c.ResultDeletions() + folderOf(tree) + "/" + tree + "."
}

// ResultDeletion returns the key of such a mark. writer is random.
func (c Cluster) ResultDeletion(tree, writer string) (string, error) {
	if !writerText.MatchString(writer) {
		return "", fmt.Errorf("writer %q: must be 8 to 32 lower-case letters and digits", writer)
	}
	return c.ResultDeletionsOf(tree) + writer, nil
}
