package result

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Errors of ParseSize; each says what is valid.
var (
	ErrNoSize     = errors.New("must be a size such as 800Ki or 1Mi")
	ErrSizeBounds = errors.New("must be a size from 1 byte to 2Gi, such as 800Ki or 1Mi")
)

// ParseSize reads the subset of Kubernetes quantities used for sizes: at most 12 digits, at most 6
// more after a point, and one of the units k, M, G, Ki, Mi and Gi. A fraction of a byte is rounded
// up. Exponents are excluded because Kubernetes' own parser takes minutes for one like 1e99999999,
// and so is "m", which means a thousandth and is always meant as a million.
func ParseSize(s string) (Size, error) {
	number, factor := s, int64(1)
	for unit, bytes := range map[string]int64{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 1e3, "M": 1e6,
		"G": 1e9} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			number, factor = n, bytes
		}
	}
	whole, fraction, hasPoint := strings.Cut(number, ".")
	if !digits(whole, 12) || hasPoint && !digits(fraction, 6) {
		return 0, ErrNoSize
	}
	n, _ := strconv.ParseInt(whole, 10, 64)
	if n > math.MaxInt32 {
		return 0, ErrSizeBounds
	}
	millionths, _ := strconv.ParseInt((fraction + "000000")[:6], 10, 64)
	size := n*factor + (millionths*factor+999_999)/1_000_000
	if size < 1 || size > math.MaxInt32 {
		return 0, ErrSizeBounds
	}
	return Size(size), nil
}

// digits reports whether s consists of 1 to most decimal digits.
func digits(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
}
