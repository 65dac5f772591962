package fsck

import (
	"crypto/sha256"
)

// known is the set of commits that were listed, with what identifies their contents. It is for a
// million commits in the memory of the archiver's pod: a key takes 8 bytes instead of a hundred, so
// those without a row have to be listed again to be named.
type known map[digest]entry

// digest is the beginning of a SHA-256. That two of a million keys have the same has a probability
// of 3 in 10⁸, and nobody chooses keys: they are made of times and UIDs. It would be a wrong finding.
type digest [8]byte

// entry is what is known of a commit: 56 bits of its content's digest, and marks.
type entry struct {
	sum   [7]byte
	marks byte
}

// Marks of an entry. unread: the commit could not be read, so its sum is not known. inIndex: the
// index has a row of it.
const (
	unread byte = 1 << iota
	inIndex
)

func digestOf(text []byte) digest {
	sum := sha256.Sum256(text)
	return digest(sum[:8])
}

// add adds a commit that has not been read.
func (k known) add(key string) { k[digestOf([]byte(key))] = entry{marks: unread} }

// read notes the content of a commit.
func (k known) read(key string, content digest) {
	k[digestOf([]byte(key))] = entry{sum: [7]byte(content[:7])}
}

// forget removes a commit that was deleted after it was listed.
func (k known) forget(key string) { delete(k, digestOf([]byte(key))) }

// has reports whether a commit was listed.
func (k known) has(key string) bool {
	_, ok := k[digestOf([]byte(key))]
	return ok
}

// same reports whether a commit is known, and has this content or could not be read.
func (k known) same(key string, content digest) (same, ok bool) {
	e, ok := k[digestOf([]byte(key))]
	return e.marks&unread != 0 || e.sum == [7]byte(content[:7]), ok
}

// mark notes that the index has a row of a commit.
func (k known) mark(key string) {
	of := digestOf([]byte(key))
	if e, ok := k[of]; ok {
		e.marks |= inIndex
		k[of] = e
	}
}

// lacksRow reports whether a commit is known, was read, and has no row.
func (k known) lacksRow(key string) bool {
	e, ok := k[digestOf([]byte(key))]
	return ok && e.marks == 0
}

// lackRows returns how many such commits there are.
func (k known) lackRows() (n int) {
	for _, e := range k {
		if e.marks == 0 {
			n++
		}
	}
	return n
}
