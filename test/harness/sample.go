package harness

import (
	"fmt"
	"os"
	"strings"
)

// Sample is the text that `seq 200000 | tr '\n' ' ' | head -c N` prints: N bytes, at most 1.2 MB,
// no two places alike. Tasks make it by that command, and here is what they must have made.
func Sample(n int) string {
	var b strings.Builder
	for i := 1; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	return b.String()[:n]
}

// WithImage gives every step of a YAML text that says "image: IMAGE" an image with a shell. Other
// places with that word, such as a result IMAGE_DIGEST, stay.
func WithImage(yaml string) string {
	return strings.ReplaceAll(yaml, "image: IMAGE", "image: "+Image())
}

// Image is the image with a shell that demo and tests run their steps in: E2E_IMAGE of the
// environment, by default the one test/cluster loads.
func Image() string {
	if i := os.Getenv("E2E_IMAGE"); i != "" {
		return i
	}
	return "busybox:local"
}
