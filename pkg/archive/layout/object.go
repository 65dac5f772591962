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

// Objects are what tools write: Results, and Records and Logs under them. All objects of a Result,
// its tree, share a prefix with a hash of the Result's name: a request has the name, and not the
// time of creation.
//
//	clusters/<cluster>/objects/3fa/<tree>.result.<epoch>.<number>.json.gz
//	                                          a generation of a Result
//	clusters/<cluster>/objects/3fa/<tree>.under.<epoch>.record.<id>.<number>.json.gz
//	                                          a generation of a Record
//	clusters/<cluster>/objects/3fa/<tree>.under.<epoch>.log.<id>.<number>.json.gz
//	                                          a generation of a Log
//	clusters/<cluster>/objects/3fa/<as these>.<number>.gone
//	                                          marks that generation as a tombstone
//	clusters/<cluster>/contents/3fa/<tree>.<epoch>.<id>.<number>.<writer>.zst
//	                                          the content of a large Log
//	clusters/<cluster>/objectsegments/3f/<writer>.<which>.<cut>.<objects>.jsonl.gz
//	                                          copies of many generations, a cache
//	clusters/<cluster>/resultholds/3fa/<tree>.json
//	                                          while it exists, the tree is not deleted
//	clusters/<cluster>/resultdeletions/3fa/<tree>.<writer>
//	                                          while it exists, the tree is being deleted
//
// The epoch is the number of times that the Result has been deleted. So keys tell what is under a
// deleted Result from what is under its successor, and no key is ever reused.

// Kind is the kind of an object.
type Kind string

// Kinds of objects.
const (
	ResultKind Kind = "Result"
	RecordKind Kind = "Record"
	LogKind    Kind = "Log"
)

// ObjectName is the name of a Result, Record or Log.
type ObjectName struct {
	Kind Kind
	// Parent and Result are the Result's name. ID is empty for a Result.
	Parent, Result, ID string
}

// maxName bounds each segment of a name, in bytes, as in Kubernetes.
const maxName = 253

// Check returns an error if the name is invalid.
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

// String returns the name in the form of Tekton Results.
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

// hashDigits is the number of digits of a SHA-256 in keys: 128 bits.
const hashDigits = 32

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:hashDigits]
}

// Tree is the hash in the keys of all objects of the Result.
func (n ObjectName) Tree() string { return hashOf(n.Parent + "/results/" + n.Result) }

// maxNumber bounds epochs and numbers. Keys have nine digits, so that they sort by number.
const maxNumber = 999_999_999

// ObjectKey is the content of a generation's key.
type ObjectKey struct {
	Tree string
	Kind Kind
	// ID is a hash of the ID, empty for a Result.
	ID string
	// Epoch is the number of earlier deletions of the Result. Number counts generations from 1.
	Epoch, Number int64
	// Gone: the key is of the mark that makes the generation a tombstone.
	Gone bool
}

// Generation combines epoch and number into one number that orders all generations of a name.
func (k ObjectKey) Generation() int64 { return k.Epoch*(maxNumber+1) + k.Number }

// SetGeneration is the reverse of Generation.
func (k *ObjectKey) SetGeneration(generation int64) {
	k.Epoch, k.Number = generation/(maxNumber+1), generation%(maxNumber+1)
}

// KeyOf returns the key of a name, without epoch and number.
func (n ObjectName) KeyOf() ObjectKey {
	k := ObjectKey{Tree: n.Tree(), Kind: n.Kind}
	if n.Kind != ResultKind {
		k.ID = hashOf(n.ID)
	}
	return k
}

// Extensions of generations, and of the marks of tombstones.
const (
	ObjectExtension = ".json.gz"
	GoneExtension   = ".gone"
)

// Objects returns the prefix of all objects of the cluster.
func (c Cluster) Objects() string { return root + string(c) + "/objects/" }

// ObjectsIn returns the prefix of objects whose tree begins with some hexadecimal digits, at most
// three.
func (c Cluster) ObjectsIn(digits string) string { return c.Objects() + digits }

// ObjectsOf returns the prefix of all objects of a tree. The Result's keys sort first.
func (c Cluster) ObjectsOf(tree string) string {
	return c.Objects() + folderOf(tree) + "/" + tree + "."
}

// Under returns the prefix of the objects under a Result, of all epochs.
func (c Cluster) Under(tree string) string { return c.ObjectsOf(tree) + "under." }

func folderOf(tree string) string { return tree[:3] }

// Generations returns the prefix of the generations of an object: for a Result those of all epochs,
// for others those of the key's epoch.
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

var objectName = regexp.MustCompile(
	`^([0-9a-f]{32})\.(?:result\.([0-9]{9})|under\.([0-9]{9})\.(record|log)\.([0-9a-f]{32}))\.([0-9]{9})\.(json\.gz|gone)$`)

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

// Contents returns the prefix of the contents of all large Logs of the cluster.
func (c Cluster) Contents() string { return root + string(c) + "/contents/" }

// ContentsOf returns the prefix of the contents of a tree.
func (c Cluster) ContentsOf(tree string) string {
	return c.Contents() + folderOf(tree) + "/" + tree + "."
}

// Content returns the key of the content of a Log's generation. writer is random, as for parts.
// After a conflict with another writer, a Log may name a content with an earlier number.
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
	return fmt.Sprintf("%s%0*d.%s.%0*d.%s%s", c.ContentsOf(k.Tree), numberDigits, k.Epoch, k.ID, numberDigits, k.Number,
		writer, partExtension), nil
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

// BucketDigits is the number of digits of a tree by which objects are assigned to segments.
const BucketDigits = 2

// ObjectSegments returns the prefix of all segments of objects.
func (c Cluster) ObjectSegments() string { return root + string(c) + "/objectsegments/" }

// ObjectSegmentsIn returns the prefix of the segments of objects whose tree begins with two digits.
func (c Cluster) ObjectSegmentsIn(digits string) string { return c.ObjectSegments() + digits + "/" }

// ObjectSegmentKey is the content of the key of a segment of objects.
type ObjectSegmentKey struct {
	// Digits are the first digits of the trees.
	Digits string
	// Writer is random. Which counts the segments of one writer from 0, in the order of the keys in
	// them.
	Writer string
	Which  int
	// Cut: the segment has generations stored until this time, in seconds, that were the newest.
	Cut time.Time
	// Objects is the number of generations.
	Objects int
}

// ObjectSegment returns the key of a segment.
func (c Cluster) ObjectSegment(s ObjectSegmentKey) (string, error) {
	key := fmt.Sprintf("%s%s.%04d.%010d.%d%s", c.ObjectSegmentsIn(s.Digits), s.Writer, s.Which, s.Cut.Unix(), s.Objects,
		segmentExtension)
	_, _, err := ParseObjectSegment(key)
	return key, err
}

var objectSegmentName = regexp.MustCompile(
	`^([0-9a-f]{2})/([a-z0-9]{8,32})\.([0-9]{4})\.([0-9]{10})\.([0-9]{1,9})\.jsonl\.gz$`)

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
	s.Which, _ = strconv.Atoi(match[3]) // a few digits
	cut, _ := strconv.ParseInt(match[4], 10, 64)
	s.Cut = time.Unix(cut, 0).UTC()
	s.Objects, _ = strconv.Atoi(match[5])
	return cluster, s, nil
}

// ResultHolds returns the prefix of the holds on Results.
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

// ResultDeletions returns the prefix of the marks of deletions of Results.
func (c Cluster) ResultDeletions() string { return root + string(c) + "/resultdeletions/" }

// ResultDeletionsOf returns the prefix of the marks of deletions in a tree.
func (c Cluster) ResultDeletionsOf(tree string) string {
	return c.ResultDeletions() + folderOf(tree) + "/" + tree + "."
}

// ResultDeletion returns the key of a mark of a deletion. writer is random.
func (c Cluster) ResultDeletion(tree, writer string) (string, error) {
	if !writerText.MatchString(writer) {
		return "", fmt.Errorf("writer %q: must be 8 to 32 lower-case letters and digits", writer)
	}
	return c.ResultDeletionsOf(tree) + writer, nil
}
