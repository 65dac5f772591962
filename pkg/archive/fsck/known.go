package fsck

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"
)

// known is the set of commits that were listed, with what identifies their contents. It is for a
// million commits in the memory of the archiver's pod: each takes 16 bytes, so those without a row
// in the index have to be listed again to be named. Commits are added while they are listed, and
// found after sort.
type known struct{ blocks [][]entry }

// blockSize is the number of entries of a block. A slice that grows would take twice the memory.
const blockSize = 4096

// entry is what is known of a commit: 64 bits of its key's digest, and 56 of its content's. That
// two of a million keys have the same has a probability of 3 in 10⁸, and nobody chooses keys: they
// are made of times and UIDs. It would be a wrong finding.
type entry struct {
	key   uint64
	sum   [7]byte
	marks byte
}

// Marks of an entry. unread: the commit could not be read, so its sum is not known. deleted: it was
// deleted after it was listed. inIndex: the index has a row of it.
const (
	unread byte = 1 << iota
	deleted
	inIndex
)

// digest is the beginning of a SHA-256.
type digest [8]byte

func digestOf(text []byte) digest {
	sum := sha256.Sum256(text)
	return digest(sum[:8])
}

func keyOf(key string) uint64 {
	of := digestOf([]byte(key))
	return binary.BigEndian.Uint64(of[:])
}

// add adds a commit that has not been read.
func (k *known) add(key string) {
	last := len(k.blocks) - 1
	if last < 0 || len(k.blocks[last]) == blockSize {
		k.blocks = append(k.blocks, make([]entry, 0, blockSize))
		last++
	}
	k.blocks[last] = append(k.blocks[last], entry{key: keyOf(key), marks: unread})
}

// last returns the entry that was added last, until sort.
func (k *known) last() *entry { return k.at(k.Len() - 1) }

// read notes the content of the commit.
func (e *entry) read(content digest) { e.sum, e.marks = [7]byte(content[:7]), 0 }

func (e *entry) is(content digest) bool {
	return e.marks&unread != 0 || e.sum == [7]byte(content[:7])
}

// sort ends the adding. It sorts in place, which slices.Sort cannot across blocks.
func (k *known) sort() { sort.Sort(byKey{k}) }

// byKey implements sort.Interface.
type byKey struct{ *known }

func (k *known) at(i int) *entry { return &k.blocks[i/blockSize][i%blockSize] }

// Len is the number of entries.
func (k *known) Len() int {
	if len(k.blocks) == 0 {
		return 0
	}
	return (len(k.blocks)-1)*blockSize + len(k.blocks[len(k.blocks)-1])
}

// Less compares the keys of two entries.
func (b byKey) Less(i, j int) bool { return b.at(i).key < b.at(j).key }

// Swap swaps two entries.
func (b byKey) Swap(i, j int) {
	one, other := b.at(i), b.at(j)
	*one, *other = *other, *one
}

// find returns a commit's entry, nil if it was not listed or was deleted meanwhile.
func (k *known) find(key string) *entry {
	of := keyOf(key)
	block, found := slices.BinarySearchFunc(k.blocks, of, func(block []entry, of uint64) int {
		switch {
		case block[0].key > of:
			return 1
		case block[len(block)-1].key < of:
			return -1
		}
		return 0
	})
	if !found {
		return nil
	}
	i, found := slices.BinarySearchFunc(k.blocks[block], of, func(e entry, of uint64) int {
		return cmp.Compare(e.key, of)
	})
	if !found || k.blocks[block][i].marks&deleted != 0 {
		return nil
	}
	return &k.blocks[block][i]
}

// lacksRow reports whether a commit was read and has no row.
func (e *entry) lacksRow() bool { return e != nil && e.marks == 0 }

// lackRows returns how many such commits there are.
func (k *known) lackRows() (n int) {
	for _, block := range k.blocks {
		for i := range block {
			if block[i].lacksRow() {
				n++
			}
		}
	}
	return n
}
