package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// keyLength is the number of hexadecimal digits of a Key.
const keyLength = 16

// Key is a short digest of the inputs of a build. Each part is written with its length, so that
// moving a character from one part to the next changes the key.
func Key(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil))[:keyLength]
}

// FilesKey is the Key of the names and contents of the files that match patterns in dir.
func FilesKey(dir string, patterns ...string) (string, error) {
	var parts []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		sort.Strings(paths)
		for _, path := range paths {
			sum, err := fileSum(path)
			if err != nil {
				return "", err
			}
			parts = append(parts, filepath.Base(path), sum)
		}
	}
	return Key(parts...), nil
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
