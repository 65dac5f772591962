package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// Numbered objects say what was true last: the one with the highest number counts. Each is created where there is none of its
// number, so that of two writers one has its say.
const (
	numberDigits    = 9
	numberExtension = ".json"
)

// Identities returns what the objects begin with that say whose archive it is.
func (c Cluster) Identities() string { return root + string(c) + "/identities/" }

// Namespaces returns what the objects begin with that say which namespaces were seen, and seen to go.
func (c Cluster) Namespaces() string { return root + string(c) + "/namespaces/" }

// Number returns the key of an object below one of these, for numbers from 1.
func Number(below string, n int) string {
	return fmt.Sprintf("%s%0*d%s", below, numberDigits, n, numberExtension)
}

// ParseNumber is the reverse of Number.
func ParseNumber(below, key string) (int, error) {
	text, ok := strings.CutPrefix(strings.TrimSuffix(key, numberExtension), below)
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || Number(below, n) != key {
		return 0, fmt.Errorf("key %s is not one of %s with a number", key, below)
	}
	return n, nil
}
