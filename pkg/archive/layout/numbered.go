package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// Numbered objects record a current state: the one with the highest number counts. Each is created
// only if its number does not exist, so one of two concurrent writers fails.
const (
	numberDigits    = 9
	numberExtension = ".json"
)

// Identities returns the prefix of the objects that record whose archive it is.
func (c Cluster) Identities() string { return root + string(c) + "/identities/" }

// Namespaces returns the prefix of the objects that record the namespaces seen and gone.
func (c Cluster) Namespaces() string { return root + string(c) + "/namespaces/" }

// Number returns the key of a numbered object below one of these prefixes. Numbers start at 1.
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
