package oracle

import "math/rand/v2"

// chooser makes choices from bytes. When they are used up it always chooses the first.
type chooser struct{ data []byte }

// random returns a chooser with enough bytes for one case.
func random(seed uint64) *chooser {
	source := rand.NewPCG(seed, 1)
	data := make([]byte, 512)
	for i := range data {
		data[i] = byte(source.Uint64())
	}
	return &chooser{data}
}

// below returns a number from 0 to n-1; n is at most 256.
func (c *chooser) below(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

// one says yes once in n times.
func (c *chooser) one(n int) bool { return c.below(n) == n-1 }

// text returns up to n bytes as they are.
func (c *chooser) text(n int) string {
	n = min(c.below(n+1), len(c.data))
	text := string(c.data[:n])
	c.data = c.data[n:]
	return text
}

// ascii returns up to n characters of ASCII.
func (c *chooser) ascii(n int) string {
	text := []byte(c.text(n))
	for i := range text {
		text[i] &= 0x7f
	}
	return string(text)
}

func pick[T any](c *chooser, from []T) T { return from[c.below(len(from))] }
